// SPDX-License-Identifier: Apache-2.0
// The loop over rows that every level of the dot kernels shares. A level supplies
//
//   struct V {
//     Sum                                              a register of int32 lanes
//     row<Bits, Digits>(row, n_bytes, query, digit_stride, Sum (&out)[Digits])
//     reduce(Sum) -> int32, reduce4(a, b, c, d, out)   the sums of the lanes
//   };
//
// Everything here has internal linkage and uses no STL: an external inline function compiled with
// one level's instructions could be kept by the linker for every CPU.
#pragma once

#include <cstdint>

#include "simd/levels.h"
#include "simd/levels/rows.h"
#include "simd/levels/tables.h"

namespace vl {
namespace {

constexpr std::int64_t kLine = 64;
// Rows named by a list come from anywhere: ask for the lines of the rows this many bytes of work
// ahead (measured for the pair kernels, core/simd/pair/README.md).
constexpr std::int64_t kListAhead = 2048;

VL_INLINE void prefetch_plane(const std::uint8_t* row, std::int64_t n_bytes) {
  for (std::int64_t at = 0; at < n_bytes; at += kLine) __builtin_prefetch(row + at);
}

// Four rows are summed up together, since the final adds across lanes would otherwise cost as much
// as a short row itself; the rows are still read one after the other, as prefetchers want it.
template <class V, int Bits, int Digits, class RowAt>
VL_INLINE void visit(std::int64_t n, std::int64_t n_bytes, const std::int8_t* query,
                     std::int64_t digit_stride, std::int32_t* __restrict__ out,
                     const RowAt& row_at) {
  using Sum = typename V::Sum;
  std::int64_t j = 0;
  for (; j + 4 <= n; j += 4) {
    Sum sums[4][Digits];
    for (int r = 0; r < 4; ++r) {
      V::template row<Bits, Digits>(row_at(j + r), n_bytes, query, digit_stride, sums[r]);
    }
    for (int d = 0; d < Digits; ++d) {
      V::reduce4(sums[0][d], sums[1][d], sums[2][d], sums[3][d], out + d * n + j);
    }
  }
  for (; j < n; ++j) {
    Sum sums[Digits];
    V::template row<Bits, Digits>(row_at(j), n_bytes, query, digit_stride, sums);
    for (int d = 0; d < Digits; ++d) out[d * n + j] = V::reduce(sums[d]);
  }
}

template <class V, int Bits, int Digits>
void dot_levels(const std::uint8_t* base, std::int64_t stride, const std::int64_t* rows,
                std::int64_t n, std::int64_t dim, const std::int8_t* query, std::int32_t* out) {
  const std::int64_t n_bytes = plane_bytes(Bits, dim);
  const std::int64_t digit_stride = plane_query_size(Bits, dim);
  if (rows == nullptr) {
    visit<V, Bits, Digits>(n, n_bytes, query, digit_stride, out,
                           [&](std::int64_t j) { return base + j * stride; });
    return;
  }
  const std::int64_t ahead = n_bytes < kListAhead ? kListAhead / n_bytes : 1;
  for (std::int64_t j = 0; j < n && j < ahead; ++j) {
    prefetch_plane(base + rows[j] * stride, n_bytes);
  }
  visit<V, Bits, Digits>(n, n_bytes, query, digit_stride, out, [&](std::int64_t j) {
    if (j + ahead < n) prefetch_plane(base + rows[j + ahead] * stride, n_bytes);
    return base + rows[j] * stride;
  });
}

template <class V>
constexpr LevelKernels level_table(SimdLevel level) {
  return {level,
          {{dot_levels<V, 8, 1>, dot_levels<V, 8, 2>},
           {dot_levels<V, 4, 1>, dot_levels<V, 4, 2>},
           {dot_levels<V, 2, 1>, dot_levels<V, 2, 2>},
           {dot_levels<V, 1, 1>, dot_levels<V, 1, 2>}},
          {pack_bytes, pack_parts<4>, pack_parts<2>, pack_bits},
          {unpack_bytes, unpack_parts<4>, unpack_parts<2>, unpack_bits},
          center_row,
          quantize_row,
          quantize_dims,
          decode_row,
          rotate_row,
          read_factors};
}

}  // namespace
}  // namespace vl
