// SPDX-License-Identifier: Apache-2.0
// The products without intrinsics: what a plane means, in the fewest words.
#pragma once

#include "simd/levels/scan.h"

namespace vl {
namespace {

struct Plain {
  using Sum = std::int32_t;

  template <int Bits, int Digits>
  static VL_INLINE void row(const std::uint8_t* row, std::int64_t n_bytes, const std::int8_t* query,
                            std::int64_t digit_stride, Sum (&out)[Digits]) {
    for (int d = 0; d < Digits; ++d) {
      const std::int8_t* q = query + d * digit_stride;
      Sum total = 0;
      if constexpr (Bits == 1) {
        for (std::int64_t i = 0; i < 8 * n_bytes; ++i)
          total += q[i] * ((row[i / 8] >> (i % 8)) & 1);
      } else {
        constexpr int mask = (1 << Bits) - 1;
        for (std::int64_t at = 0; at < n_bytes; at += kPlaneBlock) {
          const std::int64_t left = n_bytes - at;
          const std::int64_t bytes = left < kPlaneBlock ? left : kPlaneBlock;
          for (int k = 0; k < 8 / Bits; ++k) {
            for (std::int64_t j = 0; j < bytes; ++j) {
              total += q[k * kPlaneBlock + j] * ((row[at + j] >> (k * Bits)) & mask);
            }
          }
          q += 8 / Bits * kPlaneBlock;
        }
      }
      out[d] = total;
    }
  }
  static VL_INLINE std::int32_t reduce(Sum v) { return v; }
  static VL_INLINE void reduce4(Sum a, Sum b, Sum c, Sum d, std::int32_t* out) {
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
  }
};

}  // namespace
}  // namespace vl
