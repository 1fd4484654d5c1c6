// SPDX-License-Identifier: Apache-2.0
// Float8 kernels, AVX2 with FMA and F16C (x86-64-v3).
//
// Formula: README.md. Accumulator: four ymm of float32 a row, fused multiply-add. Tail: buffers
// filled with zeros. Alignment: none. Error: none but in sums; codes equal scalar.cc bit for bit.
#include <immintrin.h>

#include <cstdint>

#include "base/float16.h"
#include "simd/float8/scan.h"

namespace vl {
namespace {

struct Avx2 {
  struct F {
    __m256 low, high;  // lanes 0..7, lanes 8..15
  };
  using U = __m256i;

  static VL_INLINE F zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static VL_INLINE F set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static VL_INLINE U zero_u() { return _mm256_setzero_si256(); }
  static VL_INLINE std::uint32_t largest(U u) {
    std::uint32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), u);
    std::uint32_t most = 0;
    for (const std::uint32_t lane : lanes) most = lane > most ? lane : most;
    return most;
  }
  static VL_INLINE F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static VL_INLINE void store(float* p, F f) {
    _mm256_storeu_ps(p, f.low);
    _mm256_storeu_ps(p + 8, f.high);
  }

  static VL_INLINE __m256i word(std::uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  static VL_INLINE __m128i codes(const std::uint8_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static VL_INLINE F from_halves(__m128i low, __m128i high) {
    return {_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)};
  }
  static VL_INLINE __m128i spread(__m128i high) {
    return _mm_and_si128(_mm_srai_epi16(high, 1), _mm_set1_epi16(static_cast<short>(0xBFFF)));
  }

  template <Float8Format T>
  static VL_INLINE F load8(const std::uint8_t* p) {
    const __m128i x = codes(p);
    const __m128i low = _mm_unpacklo_epi8(_mm_setzero_si128(), x);  // code << 8
    const __m128i high = _mm_unpackhi_epi8(_mm_setzero_si128(), x);
    if constexpr (T == Float8Format::kE5M2) return from_halves(low, high);
    // Shifting the sign along leaves a copy of it in the exponent's top bit, which e4m3 lacks.
    return from_halves(spread(low), spread(high));
  }
  static VL_INLINE F with_nan8(const std::uint8_t* p, F f) {
    const __m128i all = _mm_set1_epi8(0x7F);
    const __m128i bad = _mm_cmpeq_epi8(_mm_and_si128(codes(p), all), all);
    const __m256 nan = _mm256_set1_ps(__builtin_nanf(""));
    const __m256i low = _mm256_cvtepi8_epi32(bad);
    const __m256i high = _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bad, bad));
    return {_mm256_blendv_ps(f.low, nan, _mm256_castsi256_ps(low)),
            _mm256_blendv_ps(f.high, nan, _mm256_castsi256_ps(high))};
  }
  template <Float8Format T>
  static VL_INLINE __m256i round8(__m256 x) {
    using L = Layout<T>;
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(bits, 24), word(0x80u));
    const __m256i size =
        _mm256_min_epu32(_mm256_and_si256(bits, word(0x7FFFFFFFu)), word(float32_bits(L::kMax)));
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(size, L::kDrop), word(1));
    const __m256i up =
        _mm256_add_epi32(_mm256_add_epi32(size, odd), word((1u << (L::kDrop - 1)) - 1u));
    const __m256i normal = _mm256_sub_epi32(_mm256_srli_epi32(up, L::kDrop), word(L::kRebias));
    const __m256i magic = word(float32_bits(L::kMagic));
    const __m256i small = _mm256_sub_epi32(
        _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(size), _mm256_castsi256_ps(magic))),
        magic);
    const __m256i is_small = _mm256_cmpgt_epi32(word(float32_bits(L::kMinNormal)), size);
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    __m256i code = _mm256_blendv_epi8(normal, small, is_small);
    code = _mm256_blendv_epi8(code, word(0x7Fu), is_nan);
    return _mm256_or_si256(code, sign);
  }
  // Lanes 0..7 of `a`, then of `b`, as 16-bit numbers.
  static VL_INLINE __m256i pack(__m256i a, __m256i b) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xD8);
  }
  template <Float8Format T>
  static VL_INLINE void store8(std::uint8_t* p, F x) {
    const __m256i both = pack(round8<T>(x.low), round8<T>(x.high));
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(p),
        _mm_packus_epi16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
  }

  static VL_INLINE __m256i round_brain(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), word(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, odd), word(0x7FFFu));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(bits, word(0x00400000u));
    return _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, is_nan), 16);
  }
  static VL_INLINE U raise(U most, __m256 x) {
    return _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(x), word(0x7FFFFFFFu)));
  }
  template <bool Brain>
  static VL_INLINE void narrow(const float* p, std::uint16_t* out, U& most) {
    const F x = load(p);
    most = raise(raise(most, x.low), x.high);
    if constexpr (Brain) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                          pack(round_brain(x.low), round_brain(x.high)));
    } else {
      auto* to = reinterpret_cast<__m128i*>(out);
      _mm_storeu_si128(to, _mm256_cvtps_ph(x.low, _MM_FROUND_TO_NEAREST_INT));
      _mm_storeu_si128(to + 1, _mm256_cvtps_ph(x.high, _MM_FROUND_TO_NEAREST_INT));
    }
  }
  static VL_INLINE __m256 from_brain(__m128i x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  }
  template <bool Brain>
  static VL_INLINE F widen(const std::uint16_t* p) {
    const auto* from = reinterpret_cast<const __m128i*>(p);
    const __m128i low = _mm_loadu_si128(from);
    const __m128i high = _mm_loadu_si128(from + 1);
    if constexpr (!Brain) return from_halves(low, high);
    return {from_brain(low), from_brain(high)};
  }

  static VL_INLINE F mul(F a, F b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static VL_INLINE F add(F a, F b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static VL_INLINE F fma(F a, F b, F c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static VL_INLINE F fnma(F a, F b, F c) {
    return {_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high)};
  }
  static VL_INLINE float sum(F acc) {
    const __m256 a = _mm256_add_ps(acc.low, acc.high);
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
  }
};

}  // namespace

constexpr Float8Kernels kFloat8Avx2 = float8_table<Avx2>(SimdLevel::kAvx2);

}  // namespace vl
