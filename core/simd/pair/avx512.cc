// SPDX-License-Identifier: Apache-2.0
// Pair kernels, AVX-512 (F, BW, DQ, VL).
//
// Formula: ip = sum q_i x_i, l2 = sum (q_i - x_i)^2, hamming = sum popcount(q_i xor x_i).
// Accumulator: two zmm of float32 a row, fused multiply-add; two zmm of float64 a row for the exact
// kernels; int32 lanes for int8 (products in int16 pairs), 64-bit lanes for Hamming.
// Tail: masked loads, which neither read nor fault past the mask. Alignment: none.
// Error bound: README.md; the exact kernels equal scalar.cc bit for bit.
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

#include "simd/pair/scan.h"

namespace vl {
namespace {

VL_INLINE __mmask16 first16(std::int64_t r) {
  return static_cast<__mmask16>((1u << static_cast<unsigned>(r)) - 1u);
}
VL_INLINE __mmask64 first64(std::int64_t r) {
  return static_cast<__mmask64>((std::uint64_t{1} << static_cast<unsigned>(r)) - 1u);
}

struct Avx512 {
  using F = __m512;
  struct D {
    __m512d low, high;  // lanes 0..7, lanes 8..15
  };

  static VL_INLINE F zero_f() { return _mm512_setzero_ps(); }
  static VL_INLINE D zero_d() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }

  static VL_INLINE F from16(__m256i x, bool brain) {
    return brain ? _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16))
                 : _mm512_cvtph_ps(x);
  }
  static VL_INLINE F from8(__m128i x, bool is_signed) {
    return _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(x) : _mm512_cvtepu8_epi32(x));
  }
  template <Kind K>
  static VL_INLINE F load(const Element<K>* p) {
    if constexpr (K == Kind::kFloat32) {
      return _mm512_loadu_ps(p);
    } else if constexpr (K == Kind::kFloat16 || K == Kind::kBFloat16) {
      return from16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), K == Kind::kBFloat16);
    } else {
      return from8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), K == Kind::kInt8);
    }
  }
  template <Kind K>
  static VL_INLINE F load_tail(const Element<K>* p, std::int64_t r) {
    if constexpr (K == Kind::kFloat32) {
      return _mm512_maskz_loadu_ps(first16(r), p);
    } else if constexpr (K == Kind::kFloat16 || K == Kind::kBFloat16) {
      return from16(_mm256_maskz_loadu_epi16(first16(r), p), K == Kind::kBFloat16);
    } else {
      return from8(_mm_maskz_loadu_epi8(first16(r), p), K == Kind::kInt8);
    }
  }

  template <Op O>
  static VL_INLINE F step(F acc, F q, F x) {
    if constexpr (O == Op::kIp) return _mm512_fmadd_ps(q, x, acc);
    const F d = _mm512_sub_ps(q, x);
    return _mm512_fmadd_ps(d, d, acc);
  }
  template <Op O>
  static VL_INLINE __m512d step_half(__m512d acc, __m512d q, __m512d x) {
    // The product of two float32 is exact in float64, so fusing it with the add changes no bit.
    if constexpr (O == Op::kIp) return _mm512_fmadd_pd(q, x, acc);
    const __m512d d = _mm512_sub_pd(q, x);
    return _mm512_add_pd(acc, _mm512_mul_pd(d, d));
  }
  template <Op O>
  static VL_INLINE D step(D acc, D q, D x) {
    return {step_half<O>(acc.low, q.low, x.low), step_half<O>(acc.high, q.high, x.high)};
  }
  static VL_INLINE D widen(F f) {
    return {_mm512_cvtps_pd(_mm512_castps512_ps256(f)),
            _mm512_cvtps_pd(_mm512_extractf32x8_ps(f, 1))};
  }

  template <Kind K>
  static VL_INLINE D load_wide(const Element<K>* p) {
    if constexpr (K == Kind::kFloat32) {
      return {_mm512_cvtps_pd(_mm256_loadu_ps(p)), _mm512_cvtps_pd(_mm256_loadu_ps(p + 8))};
    } else {
      return widen(load<K>(p));
    }
  }

  static VL_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
  static VL_INLINE float sum(F acc) {
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps(acc, 1));
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
  }
  static VL_INLINE double sum(const D& acc) {
    const __m512d a = _mm512_add_pd(acc.low, acc.high);
    const __m256d b = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
    return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
  }
};

struct Int8 {
  using Reg = __m512i;  // thirty-two int16
  using Acc = __m512i;  // sixteen int32
  static constexpr std::int64_t kStep = 32;
  static VL_INLINE Acc zero() { return _mm512_setzero_si512(); }
  static VL_INLINE Reg load(const std::int8_t* p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static VL_INLINE Reg load_tail(const std::int8_t* p, std::int64_t r) {
    return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(static_cast<__mmask32>(first64(r)), p));
  }
  static VL_INLINE std::int32_t sum(Acc acc) { return _mm512_reduce_add_epi32(acc); }
  static VL_INLINE std::uint32_t bias(const std::int8_t* /*query*/, std::int64_t /*width*/) {
    return 0;
  }
};
struct IpI8 : Int8 {
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    return _mm512_add_epi32(acc, _mm512_madd_epi16(q, x));
  }
};
struct L2I8 : Int8 {
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    const Reg d = _mm512_sub_epi16(q, x);
    return _mm512_add_epi32(acc, _mm512_madd_epi16(d, d));
  }
};

// Two table look-ups a byte (Mula, Kurz, Lemire, doi:10.1093/comjnl/bxx046): VPOPCNTDQ is not part
// of this level.
struct Hamming {
  using Reg = __m512i;
  using Acc = __m512i;  // eight 64-bit sums
  static constexpr std::int64_t kStep = 64;
  static constexpr std::int64_t kWorthwhile = 128;
  static constexpr bool kCountsWords = true;
  static VL_INLINE Acc zero() { return _mm512_setzero_si512(); }
  static VL_INLINE Reg load(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    const __m512i table =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(0x0F);
    const __m512i bits = _mm512_xor_si512(q, x);
    const __m512i low = _mm512_and_si512(bits, nibble);
    const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bits, 4), nibble);
    const __m512i count =
        _mm512_add_epi8(_mm512_shuffle_epi8(table, low), _mm512_shuffle_epi8(table, high));
    return _mm512_add_epi64(acc, _mm512_sad_epu8(count, _mm512_setzero_si512()));
  }
  static VL_INLINE std::int32_t sum(Acc acc) {
    return static_cast<std::int32_t>(_mm512_reduce_add_epi64(acc));
  }
};

}  // namespace

constexpr PairKernels kPairAvx512 = pair_table<Avx512, IpI8, L2I8, Hamming>(SimdLevel::kAvx512);

}  // namespace vl
