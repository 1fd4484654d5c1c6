// SPDX-License-Identifier: Apache-2.0
// Float8 kernels, AVX-512 (F, BW, DQ, VL).
//
// Formula: README.md. Accumulator: two zmm of float32 a row, fused multiply-add. Tail: buffers
// filled with zeros. Alignment: none. Error: none but in sums; codes equal scalar.cc bit for bit.
// GCC 12 warns inside its own header, where an undefined register is meant (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstdint>

#include "base/float16.h"
#include "simd/float8/scan.h"

namespace vl {
namespace {

struct Avx512 {
  using F = __m512;
  using U = __m512i;

  static VL_INLINE F zero() { return _mm512_setzero_ps(); }
  static VL_INLINE F set1(float x) { return _mm512_set1_ps(x); }
  static VL_INLINE U zero_u() { return _mm512_setzero_si512(); }
  static VL_INLINE std::uint32_t largest(U u) { return _mm512_reduce_max_epu32(u); }
  static VL_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
  static VL_INLINE void store(float* p, F f) { _mm512_storeu_ps(p, f); }

  static VL_INLINE __m512i word(std::uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static VL_INLINE __m128i codes(const std::uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }

  template <Float8Format T>
  static VL_INLINE F load8(const std::uint8_t* p) {
    if constexpr (T == Float8Format::kE5M2) {
      return _mm512_cvtph_ps(_mm256_slli_epi16(_mm256_cvtepu8_epi16(codes(p)), 8));
    }
    // Sign extension leaves a copy of the sign in the exponent's top bit, which e4m3 lacks.
    const __m256i moved = _mm256_slli_epi16(_mm256_cvtepi8_epi16(codes(p)), 7);
    return _mm512_cvtph_ps(_mm256_and_si256(moved, _mm256_set1_epi16(static_cast<short>(0xBFFF))));
  }
  static VL_INLINE F with_nan8(const std::uint8_t* p, F f) {
    const __m128i all = _mm_set1_epi8(0x7F);
    const __mmask16 bad = _mm_cmpeq_epi8_mask(_mm_and_si128(codes(p), all), all);
    return _mm512_mask_mov_ps(f, bad, _mm512_set1_ps(__builtin_nanf("")));
  }
  template <Float8Format T>
  static VL_INLINE void store8(std::uint8_t* p, F x) {
    using L = Layout<T>;
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i sign = _mm512_and_si512(_mm512_srli_epi32(bits, 24), word(0x80u));
    const __m512i size =
        _mm512_min_epu32(_mm512_and_si512(bits, word(0x7FFFFFFFu)), word(float32_bits(L::kMax)));
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(size, L::kDrop), word(1));
    const __m512i up =
        _mm512_add_epi32(_mm512_add_epi32(size, odd), word((1u << (L::kDrop - 1)) - 1u));
    const __m512i normal = _mm512_sub_epi32(_mm512_srli_epi32(up, L::kDrop), word(L::kRebias));
    const __m512i magic = word(float32_bits(L::kMagic));
    const __m512i small = _mm512_sub_epi32(
        _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(size), _mm512_castsi512_ps(magic))),
        magic);
    const __mmask16 is_small = _mm512_cmplt_epu32_mask(size, word(float32_bits(L::kMinNormal)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    __m512i code = _mm512_mask_mov_epi32(normal, is_small, small);
    code = _mm512_mask_mov_epi32(code, is_nan, word(0x7Fu));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm512_cvtepi32_epi8(_mm512_or_si512(code, sign)));
  }

  template <bool Brain>
  static VL_INLINE void narrow(const float* p, std::uint16_t* out, U& most) {
    const F x = load(p);
    const __m512i bits = _mm512_castps_si512(x);
    most = _mm512_max_epu32(most, _mm512_and_si512(bits, word(0x7FFFFFFFu)));
    auto* to = reinterpret_cast<__m256i*>(out);
    if constexpr (!Brain) {
      _mm256_storeu_si256(to, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    } else {
      const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), word(1));
      const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, odd), word(0x7FFFu));
      const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
      const __m512i kept = _mm512_mask_or_epi32(up, is_nan, bits, word(0x00400000u));
      _mm256_storeu_si256(to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16)));
    }
  }
  template <bool Brain>
  static VL_INLINE F widen(const std::uint16_t* p) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    if constexpr (!Brain) return _mm512_cvtph_ps(x);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
  }

  static VL_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static VL_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
  static VL_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static VL_INLINE F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
  static VL_INLINE float sum(F acc) {
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps(acc, 1));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
  }
};

}  // namespace

constexpr Float8Kernels kFloat8Avx512 = float8_table<Avx512>(SimdLevel::kAvx512);

}  // namespace vl
