// SPDX-License-Identifier: Apache-2.0
// Level kernels, AVX2: products in int16 pairs, 32 bytes a step.
//
// Formula: sum q_i c_i. Accumulator: eight int32 lanes; pairs as in avx512.cc. Tail: a zero-filled
// copy of the last bytes. Alignment: none. Error: none.
#include <immintrin.h>

#include "simd/levels/scan.h"

namespace vl {
namespace {

struct Avx2 {
  using Sum = __m256i;
  static constexpr std::int64_t kStep = 32;

  static VL_INLINE __m256i load(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static VL_INLINE __m256i load_tail(const std::uint8_t* p, std::int64_t r) {
    std::uint8_t copy[kStep] = {};
    __builtin_memcpy(copy, p, static_cast<unsigned long>(r));
    return load(copy);
  }
  template <int Bits>
  static VL_INLINE __m256i part(__m256i x, int k) {
    const __m256i mask = _mm256_set1_epi8((1 << Bits) - 1);
    return _mm256_and_si256(k == 0 ? x : _mm256_srli_epi16(x, k * Bits), mask);
  }
  template <int Bits>
  static VL_INLINE __m256i add(__m256i acc, __m256i x, const std::int8_t* q) {
    const __m256i ones = _mm256_set1_epi16(1);
    if constexpr (Bits == 8) {
      const __m256i low = _mm256_maddubs_epi16(part<4>(x, 0), load(q));
      const __m256i high = _mm256_maddubs_epi16(part<4>(x, 1), load(q));
      acc = _mm256_add_epi32(acc, _mm256_madd_epi16(low, ones));
      return _mm256_add_epi32(acc, _mm256_madd_epi16(high, _mm256_set1_epi16(16)));
    } else {
      __m256i pairs = _mm256_setzero_si256();
      for (int k = 0; k < 8 / Bits; ++k) {
        pairs = _mm256_add_epi16(pairs,
                                 _mm256_maddubs_epi16(part<Bits>(x, k), load(q + k * kPlaneBlock)));
      }
      return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, ones));
    }
  }

  template <int Bits, int Digits>
  static VL_INLINE void row(const std::uint8_t* row, std::int64_t n_bytes, const std::int8_t* query,
                            std::int64_t digit_stride, Sum (&out)[Digits]) {
    if constexpr (Bits == 1) {
      bits<Digits>(row, n_bytes, query, digit_stride, out);
    } else {
      for (int d = 0; d < Digits; ++d) out[d] = _mm256_setzero_si256();
      const auto step = [&](__m256i x, std::int64_t at) {
        // Byte `at` belongs to block at / 64; a step is one half of its parts.
        const std::int64_t from = at / kPlaneBlock * kPlaneBlock * (8 / Bits) + at % kPlaneBlock;
        for (int d = 0; d < Digits; ++d) {
          out[d] = add<Bits>(out[d], x, query + d * digit_stride + from);
        }
      };
      std::int64_t at = 0;
      for (; at + kStep <= n_bytes; at += kStep) step(load(row + at), at);
      if (at < n_bytes) step(load_tail(row + at, n_bytes - at), at);
    }
  }

  // Four bytes of the row spread over 32: byte i / 8 in place i, its bit i mod 8 tested there.
  template <int Digits>
  static VL_INLINE void bits(const std::uint8_t* row, std::int64_t n_bytes,
                             const std::int8_t* query, std::int64_t digit_stride,
                             Sum (&out)[Digits]) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i one_bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
    const __m256i ones = _mm256_set1_epi8(1);
    for (int d = 0; d < Digits; ++d) out[d] = _mm256_setzero_si256();
    const auto step = [&](std::uint32_t word, std::int64_t at) {
      const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(word)), spread);
      const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, one_bit), one_bit);
      for (int d = 0; d < Digits; ++d) {
        const __m256i q = _mm256_and_si256(set, load(query + d * digit_stride + 8 * at));
        const __m256i pairs = _mm256_maddubs_epi16(ones, q);
        out[d] = _mm256_add_epi32(out[d], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      }
    };
    std::int64_t at = 0;
    for (; at + 4 <= n_bytes; at += 4) {
      std::uint32_t word;
      __builtin_memcpy(&word, row + at, sizeof word);
      step(word, at);
    }
    if (at < n_bytes) {
      std::uint32_t word = 0;
      __builtin_memcpy(&word, row + at, static_cast<unsigned long>(n_bytes - at));
      step(word, at);
    }
  }

  static VL_INLINE std::int32_t reduce(Sum v) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  }
  static VL_INLINE void reduce4(Sum a, Sum b, Sum c, Sum d, std::int32_t* out) {
    const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
  }
};

}  // namespace

constexpr LevelKernels kLevelsAvx2 = level_table<Avx2>(SimdLevel::kAvx2);

}  // namespace vl
