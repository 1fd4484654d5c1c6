// SPDX-License-Identifier: Apache-2.0
// Short floats: 8-bit codes (OCP e4m3 and e5m2) encoded, decoded and scanned, and float32 narrowed
// to 16 bits and widened again. See core/simd/float8/README.md for formulas and error bounds.
#pragma once

#include <cstdint>

#include "simd/cpu.h"

namespace vl {

// OCP 8-bit floating point. e4m3: no infinity, largest 448, one NaN a sign. e5m2: the top byte of a
// float16; its infinities are never written.
enum class Float8Format : int { kE4M3 = 0, kE5M2 };

// out[j][i] = the code nearest to factor[i] * x[j][i], ties to even; beyond the largest value, the
// largest; NaN stays NaN. `factor` null means one.
using EncodeFloat8 = void (*)(const float* x, const float* factor, std::int64_t n, std::int64_t dim,
                              std::uint8_t* out);
// out[j][i] = scale[i] * value(codes[j][i]); `scale` null means one.
using DecodeFloat8 = void (*)(const std::uint8_t* codes, const float* scale, std::int64_t n,
                              std::int64_t dim, float* out);
// out[j] = sum_i query[i] * value(row j)[i]. `rows` null means rows 0..n-1, else those to visit.
// Scans take codes as encode wrote them: NaN codes of e4m3 are not looked for.
using IpFloat8 = void (*)(const float* query, const std::uint8_t* base, const std::int64_t* rows,
                          std::int64_t n, std::int64_t dim, float* out);
// out[j] = sum_i (query[i] - scale[i] * value(row j)[i])^2; `scale` is needed.
using L2Float8 = void (*)(const float* query, const float* scale, const std::uint8_t* base,
                          const std::int64_t* rows, std::int64_t n, std::int64_t dim, float* out);
// Nearest float16 (bfloat16), ties to even. Returns the largest |x| as its bit pattern, so that the
// caller sees what became infinite, and NaN, without another pass.
using Narrow16 = std::uint32_t (*)(const float* x, std::int64_t n, std::uint16_t* out);
using Widen16 = void (*)(const std::uint16_t* x, std::int64_t n, float* out);

struct Float8Kernels {
  SimdLevel level;
  EncodeFloat8 encode[2];  // index: Float8Format
  DecodeFloat8 decode[2];
  IpFloat8 ip[2];
  L2Float8 l2[2];
  Narrow16 narrow[2];  // index: 0 float16, 1 bfloat16
  Widen16 widen[2];
};

// The best kernels at or below `level`. aarch64 takes the scalar ones.
const Float8Kernels& float8_kernels(SimdLevel level);
inline const Float8Kernels& float8_kernels() { return float8_kernels(active_simd_level()); }

}  // namespace vl
