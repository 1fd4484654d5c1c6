// SPDX-License-Identifier: Apache-2.0
// Pair kernels, AVX2 with FMA and F16C (x86-64-v3).
//
// Formula: ip = sum q_i x_i, l2 = sum (q_i - x_i)^2, hamming = sum popcount(q_i xor x_i).
// Accumulator: four ymm of float32 a row, fused multiply-add; four ymm of float64 a row for the
// exact kernels; int32 lanes for int8 (products in int16 pairs), 64-bit lanes for Hamming. Tail:
// masked loads of float32; other kinds by a zero-filled buffer, since AVX2 masks only 4 bytes and
// up. Alignment: none. Error bound: README.md; the exact kernels equal scalar.cc bit for bit.
#include <immintrin.h>

#include <cstdint>

#include "simd/pair/scan.h"

namespace vl {
namespace {

struct Avx2 {
  struct F {
    __m256 low, high;  // lanes 0..7, lanes 8..15
  };
  struct D {
    __m256d a, b, c, d;  // lanes 0..3, 4..7, 8..11, 12..15
  };

  static VL_INLINE F zero_f() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static VL_INLINE D zero_d() {
    const __m256d z = _mm256_setzero_pd();
    return {z, z, z, z};
  }

  static VL_INLINE __m256 from_brain(__m128i x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  }
  template <Kind K>
  static VL_INLINE F load(const Element<K>* p) {
    if constexpr (K == Kind::kFloat32) {
      return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
    } else if constexpr (K == Kind::kFloat16 || K == Kind::kBFloat16) {
      const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
      const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8));
      if constexpr (K == Kind::kFloat16) return {_mm256_cvtph_ps(x), _mm256_cvtph_ps(y)};
      return {from_brain(x), from_brain(y)};
    } else {
      const __m128i x = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
      const __m128i y = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8));
      if constexpr (K == Kind::kInt8) {
        return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(y))};
      }
      return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)),
              _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(y))};
    }
  }
  template <Kind K>
  static VL_INLINE F load_tail(const Element<K>* p, std::int64_t r) {
    if constexpr (K == Kind::kFloat32) {
      const __m256i count = _mm256_set1_epi32(static_cast<int>(r));
      const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      const __m256i high = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
      return {_mm256_maskload_ps(p, _mm256_cmpgt_epi32(count, low)),
              _mm256_maskload_ps(p + 8, _mm256_cmpgt_epi32(count, high))};
    } else {
      const Padded<kLanes, Element<K>> padded(p, r);
      return load<K>(padded.values);
    }
  }

  template <Op O>
  static VL_INLINE F step(F acc, F q, F x) {
    if constexpr (O == Op::kIp) {
      return {_mm256_fmadd_ps(q.low, x.low, acc.low), _mm256_fmadd_ps(q.high, x.high, acc.high)};
    }
    const F d = {_mm256_sub_ps(q.low, x.low), _mm256_sub_ps(q.high, x.high)};
    return {_mm256_fmadd_ps(d.low, d.low, acc.low), _mm256_fmadd_ps(d.high, d.high, acc.high)};
  }
  template <Op O>
  static VL_INLINE __m256d step_quarter(__m256d acc, __m256d q, __m256d x) {
    // The product of two float32 is exact in float64, so fusing it with the add changes no bit.
    if constexpr (O == Op::kIp) return _mm256_fmadd_pd(q, x, acc);
    const __m256d d = _mm256_sub_pd(q, x);
    return _mm256_add_pd(acc, _mm256_mul_pd(d, d));
  }
  template <Op O>
  static VL_INLINE D step(D acc, D q, D x) {
    return {step_quarter<O>(acc.a, q.a, x.a), step_quarter<O>(acc.b, q.b, x.b),
            step_quarter<O>(acc.c, q.c, x.c), step_quarter<O>(acc.d, q.d, x.d)};
  }
  static VL_INLINE D widen(F f) {
    return {_mm256_cvtps_pd(_mm256_castps256_ps128(f.low)),
            _mm256_cvtps_pd(_mm256_extractf128_ps(f.low, 1)),
            _mm256_cvtps_pd(_mm256_castps256_ps128(f.high)),
            _mm256_cvtps_pd(_mm256_extractf128_ps(f.high, 1))};
  }

  template <Kind K>
  static VL_INLINE D load_wide(const Element<K>* p) {
    if constexpr (K == Kind::kFloat32) {
      return {_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + 4)),
              _mm256_cvtps_pd(_mm_loadu_ps(p + 8)), _mm256_cvtps_pd(_mm_loadu_ps(p + 12))};
    } else {
      return widen(load<K>(p));
    }
  }

  static VL_INLINE F add(F a, F b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static VL_INLINE float sum(F acc) {
    const __m256 a = _mm256_add_ps(acc.low, acc.high);
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
  }
  static VL_INLINE double sum(const D& acc) {
    const __m256d a = _mm256_add_pd(_mm256_add_pd(acc.a, acc.c), _mm256_add_pd(acc.b, acc.d));
    const __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
  }
};

struct Int8 {
  using Reg = __m256i;  // sixteen int16
  using Acc = __m256i;  // eight int32
  static constexpr std::int64_t kStep = 16;
  static VL_INLINE Acc zero() { return _mm256_setzero_si256(); }
  static VL_INLINE Reg load(const std::int8_t* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static VL_INLINE Reg load_tail(const std::int8_t* p, std::int64_t r) {
    const Padded<kStep, std::int8_t> padded(p, r);
    return load(padded.values);
  }
  static VL_INLINE std::int32_t sum(Acc acc) {
    const __m128i a = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
    const __m128i b = _mm_add_epi32(a, _mm_shuffle_epi32(a, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(b, _mm_shuffle_epi32(b, 0xB1)));
  }
  static VL_INLINE std::uint32_t bias(const std::int8_t* /*query*/, std::int64_t /*width*/) {
    return 0;
  }
};
struct IpI8 : Int8 {
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(q, x));
  }
};
struct L2I8 : Int8 {
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    const Reg d = _mm256_sub_epi16(q, x);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(d, d));
  }
};

// Two table look-ups a byte (Mula, Kurz, Lemire, doi:10.1093/comjnl/bxx046).
struct Hamming {
  using Reg = __m256i;
  using Acc = __m256i;  // four 64-bit sums
  static constexpr std::int64_t kStep = 32;
  static constexpr std::int64_t kWorthwhile = 128;
  static constexpr bool kCountsWords = true;
  static VL_INLINE Acc zero() { return _mm256_setzero_si256(); }
  static VL_INLINE Reg load(const std::uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    const __m256i table =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i nibble = _mm256_set1_epi8(0x0F);
    const __m256i bits = _mm256_xor_si256(q, x);
    const __m256i low = _mm256_and_si256(bits, nibble);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bits, 4), nibble);
    const __m256i count =
        _mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
    return _mm256_add_epi64(acc, _mm256_sad_epu8(count, _mm256_setzero_si256()));
  }
  static VL_INLINE std::int32_t sum(Acc acc) {
    const __m128i a = _mm_add_epi64(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
    return _mm_cvtsi128_si32(_mm_add_epi64(a, _mm_unpackhi_epi64(a, a)));
  }
};

}  // namespace

constexpr PairKernels kPairAvx2 = pair_table<Avx2, IpI8, L2I8, Hamming>(SimdLevel::kAvx2);

}  // namespace vl
