// SPDX-License-Identifier: Apache-2.0
// Rows of planes in 64-byte registers, for the AVX-512 levels. `M` multiplies bytes:
//
//   M::add<Bits>(Acc&, x, q)   adds what one load x of a plane contributes; q points at the query's
//                              64 bytes for each part of x
//   M::finish<Bits>(Acc) -> sixteen int32
//   M::add_signed(sum, q)      adds the signed bytes of q
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include "simd/levels/scan.h"

namespace vl {
namespace {

template <class M>
struct Zmm {
  using Sum = __m512i;

  static VL_INLINE __mmask64 first(std::int64_t r) {
    return static_cast<__mmask64>((std::uint64_t{1} << static_cast<unsigned>(r)) - 1u);
  }

  template <int Bits, int Digits>
  static VL_INLINE void row(const std::uint8_t* row, std::int64_t n_bytes, const std::int8_t* query,
                            std::int64_t digit_stride, Sum (&out)[Digits]) {
    if constexpr (Bits == 1) {
      bits<Digits>(row, n_bytes, query, digit_stride, out);
    } else {
      typename M::template Acc<Bits> acc[Digits];
      for (int d = 0; d < Digits; ++d) M::template clear<Bits>(acc[d]);
      std::int64_t at = 0;
      for (; at + kPlaneBlock <= n_bytes; at += kPlaneBlock) {
        const __m512i x = _mm512_loadu_si512(row + at);
        for (int d = 0; d < Digits; ++d) {
          M::template add<Bits>(acc[d], x, query + d * digit_stride + at * (8 / Bits));
        }
      }
      if (at < n_bytes) {
        const __m512i x = _mm512_maskz_loadu_epi8(first(n_bytes - at), row + at);
        for (int d = 0; d < Digits; ++d) {
          M::template add<Bits>(acc[d], x, query + d * digit_stride + at * (8 / Bits));
        }
      }
      for (int d = 0; d < Digits; ++d) out[d] = M::template finish<Bits>(acc[d]);
    }
  }

  // A word of the row is the mask under which the query's bytes are added: no widening at all.
  template <int Digits>
  static VL_INLINE void bits(const std::uint8_t* row, std::int64_t n_bytes,
                             const std::int8_t* query, std::int64_t digit_stride,
                             Sum (&out)[Digits]) {
    for (int d = 0; d < Digits; ++d) out[d] = _mm512_setzero_si512();
    const auto step = [&](std::uint64_t word, std::int64_t at) {
      for (int d = 0; d < Digits; ++d) {
        const std::int8_t* q = query + d * digit_stride + 8 * at;
        out[d] = M::add_signed(out[d], _mm512_maskz_mov_epi8(word, _mm512_loadu_si512(q)));
      }
    };
    std::int64_t at = 0;
    for (; at + 8 <= n_bytes; at += 8) {
      std::uint64_t word;
      __builtin_memcpy(&word, row + at, sizeof word);
      step(word, at);
    }
    if (at < n_bytes) {
      std::uint64_t word = 0;
      __builtin_memcpy(&word, row + at, static_cast<unsigned long>(n_bytes - at));
      step(word, at);
    }
  }

  static VL_INLINE __m256i half(Sum v) {
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  }
  static VL_INLINE std::int32_t reduce(Sum v) {
    const __m256i eight = half(v);
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  }
  static VL_INLINE void reduce4(Sum a, Sum b, Sum c, Sum d, std::int32_t* out) {
    const __m256i ab = _mm256_hadd_epi32(half(a), half(b));
    const __m256i cd = _mm256_hadd_epi32(half(c), half(d));
    const __m256i all = _mm256_hadd_epi32(ab, cd);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
  }
};

}  // namespace
}  // namespace vl
