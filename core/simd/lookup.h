// SPDX-License-Identifier: Apache-2.0
// Sums of table entries that codes name: scores of codes for queries (asymmetric distances).
// Layouts, cost and rounding bounds: lookup/README.md.
#pragma once

#include <cstdint>

#include "simd/cpu.h"

namespace vl {

inline constexpr int kLookupQueries = 16;  // queries side by side in an interleaved table
inline constexpr int kNibbleRows = 32;     // rows of a block of 4-bit codes
inline constexpr int kNibbleEntries = 16;  // entries of a 4-bit table
inline constexpr int kNibbleQuad = 4;      // parts of a uint8 scan are padded to a multiple of this

// out[row * 16 + q] += sum over parts of tables[(part * n_codewords + code) * 16 + q], one byte a
// code. Parts are added in order: the same bits at every level.
using SumBytesMany = void (*)(const float* tables, int n_parts, int n_codewords,
                              const std::uint8_t* codes, std::int64_t code_stride, std::int64_t n,
                              float* out);

// out[row] = sum over parts of table[part * n_codewords + code], in the same order.
using SumBytesOne = void (*)(const float* table, int n_parts, int n_codewords,
                             const std::uint8_t* codes, std::int64_t code_stride, std::int64_t n,
                             float* out);

// 4-bit codes in blocks of 32 rows: byte i of part p, at block[16 * p + i], holds row i in its low
// four bits and row 16 + i in its high four. tables: (n_queries, n_parts, 16).
// out[q * out_stride + row] = sum over parts, in order: the same bits at every level.
using SumNibbles = void (*)(const float* tables, int n_queries, int n_parts,
                            const std::uint8_t* blocks, std::int64_t n_blocks, float* out,
                            std::int64_t out_stride);

// The same with entries of 8 bits and sums of 16, which the caller keeps below 65536. n_parts is a
// multiple of kNibbleQuad.
using SumNibblesU8 = void (*)(const std::uint8_t* tables, int n_queries, int n_parts,
                              const std::uint8_t* blocks, std::int64_t n_blocks, std::uint16_t* out,
                              std::int64_t out_stride);

struct LookupKernels {
  SimdLevel level;
  SumBytesMany bytes_many;
  SumBytesOne bytes_one;
  SumNibbles nibbles;
  SumNibblesU8 nibbles_u8;
};

// The best kernels at or below `level`.
const LookupKernels& lookup_kernels(SimdLevel level);
inline const LookupKernels& lookup_kernels() { return lookup_kernels(active_simd_level()); }

}  // namespace vl
