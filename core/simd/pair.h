// SPDX-License-Identifier: Apache-2.0
// One query against rows: the memory-bound kernels, and the float64 kernels that settle exactness.
// See core/simd/pair/README.md for formulas and error bounds.
#pragma once

#include <cstdint>

#include "base/rows.h"
#include "simd/cpu.h"

namespace vl {

// out[j] = f(query, row j) for j in [0, n); `rows` null means rows 0..n-1, else the row numbers to
// visit. Raw stored values: Rows::scale is applied by the caller.
using ScanF32 = void (*)(const float* query, const void* base, const std::int64_t* rows,
                         std::int64_t n, std::int64_t dim, float* out);
using ScanF64 = void (*)(const float* query, const void* base, const std::int64_t* rows,
                         std::int64_t n, std::int64_t dim, double* out);
using ScanI8 = void (*)(const std::int8_t* query, const void* base, const std::int64_t* rows,
                        std::int64_t n, std::int64_t dim, std::int32_t* out);
using ScanBits = void (*)(const std::uint8_t* query, const void* base, const std::int64_t* rows,
                          std::int64_t n, std::int64_t n_bytes, std::int32_t* out);

struct PairKernels {
  SimdLevel level;
  // float32 accumulators. Index: Kind (kFloat32..kUInt8).
  ScanF32 ip[5];
  ScanF32 l2[5];  // sum (q - x)^2
  // float64, 16 fixed lanes, multiply then add, one fixed reduction tree: the same bits at every
  // level. Index: Kind (kFloat32..kUInt8).
  ScanF64 ip_exact[5];
  ScanF64 l2_exact[5];
  ScanI8 ip_i8;  // int8 query, int8 rows, exact int32 (dim <= 131071)
  ScanI8 l2_i8;  // exact for dim <= 33025: 255^2 a term
  ScanBits hamming;
};

// The best kernels at or below `level`.
const PairKernels& pair_kernels(SimdLevel level);
inline const PairKernels& pair_kernels() { return pair_kernels(active_simd_level()); }

}  // namespace vl
