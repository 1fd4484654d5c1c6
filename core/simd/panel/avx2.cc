// SPDX-License-Identifier: Apache-2.0
// Block products, AVX2 + FMA: a panel is two ymm registers wide, 4 queries x 1 panel in 16
// registers.
#include <immintrin.h>

#include "simd/panel/reach.h"
#include "simd/panel/tile.h"

namespace vl {
namespace {

inline std::int32_t group_at(const unsigned char* p) {
  std::int32_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}

struct Wide {
  __m256 low, high;
};

struct WideInt {
  __m256i low, high;
};

struct Float256 {
  using Float = Wide;
  static Float load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static Float set1(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
  static Float mul(Float a, Float b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static Float min(Float a, Float b) {
    return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
  }
  static Float max(Float a, Float b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  static Float fma(Float a, Float b, Float c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static Float add(Float a, Float b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static void store(float* p, Float v) {
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
  }
  static unsigned at_least(Float a, Float b) {
    const int low = _mm256_movemask_ps(_mm256_cmp_ps(a.low, b.low, _CMP_GE_OQ));
    const int high = _mm256_movemask_ps(_mm256_cmp_ps(a.high, b.high, _CMP_GE_OQ));
    return static_cast<unsigned>(low) | (static_cast<unsigned>(high) << 8);
  }
  static __m256 lane_mask(unsigned lanes) {
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i mine = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(lanes)), bits);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(mine, bits));
  }
  static Float blend(unsigned lanes, Float yes, Float no) {
    return {_mm256_blendv_ps(no.low, yes.low, lane_mask(lanes & 0xffU)),
            _mm256_blendv_ps(no.high, yes.high, lane_mask(lanes >> 8))};
  }
  static float highest(Float v) {
    const __m256 eight = _mm256_max_ps(v.low, v.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
  }
};

inline WideInt load_wide(const unsigned char* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}

struct FloatOps256 : Float256 {
  using Rows = Wide;
  using Query = __m256;
  using Acc = Wide;
  static Rows load_rows(const unsigned char* p) {
    const WideInt v = load_wide(p);
    return {_mm256_castsi256_ps(v.low), _mm256_castsi256_ps(v.high)};
  }
  static Query load_query(const unsigned char* p) {
    return _mm256_castsi256_ps(_mm256_set1_epi32(group_at(p)));
  }
  static Acc start(std::int32_t) { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Acc step(Acc acc, Rows r, Query q) {
    return {_mm256_fmadd_ps(r.low, q, acc.low), _mm256_fmadd_ps(r.high, q, acc.high)};
  }
  static Float to_float(Acc acc) { return acc; }
};

struct Bf16Ops256 : Float256 {
  using Rows = WideInt;
  using Query = __m256i;
  using Acc = Wide;
  static __m256 even(__m256i v) { return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16)); }
  static __m256 odd(__m256i v) {
    return _mm256_castsi256_ps(
        _mm256_and_si256(v, _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
  }
  static Rows load_rows(const unsigned char* p) { return load_wide(p); }
  static Query load_query(const unsigned char* p) { return _mm256_set1_epi32(group_at(p)); }
  static Acc start(std::int32_t) { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static __m256 one(__m256 acc, __m256i r, Query q) {
    return _mm256_fmadd_ps(odd(r), odd(q), _mm256_fmadd_ps(even(r), even(q), acc));
  }
  static Acc step(Acc acc, Rows r, Query q) {
    return {one(acc.low, r.low, q), one(acc.high, r.high, q)};
  }
  static Float to_float(Acc acc) { return acc; }
};

// uint8 x int8 pairs into int16: |pair| <= 255 * 63 * 2 = 32130 never saturates (int8_query_max =
// 63).
struct Int8Ops256 : Float256 {
  using Rows = WideInt;
  using Query = __m256i;
  using Acc = WideInt;
  static Rows load_rows(const unsigned char* p) { return load_wide(p); }
  static Query load_query(const unsigned char* p) { return _mm256_set1_epi32(group_at(p)); }
  static Acc start(std::int32_t v) { return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)}; }
  static __m256i one(__m256i acc, __m256i r, Query q) {
    return _mm256_add_epi32(acc,
                            _mm256_madd_epi16(_mm256_maddubs_epi16(r, q), _mm256_set1_epi16(1)));
  }
  static Acc step(Acc acc, Rows r, Query q) {
    return {one(acc.low, r.low, q), one(acc.high, r.high, q)};
  }
  static Float to_float(Acc acc) {
    return {_mm256_cvtepi32_ps(acc.low), _mm256_cvtepi32_ps(acc.high)};
  }
};

}  // namespace

extern const PanelKernels kPanelAvx2;
const PanelKernels kPanelAvx2 = {
    SimdLevel::kAvx2,
    63,
    filter_panels<Int8Ops256, 4, 1>,
    filter_panels<Bf16Ops256, 4, 1>,
    filter_panels<FloatOps256, 6, 1>,
    product_panels<Bf16Ops256, 4, 1, 4>,
    product_panels<FloatOps256, 6, 1, 4>,
    reach_panels<Int8Ops256, 4, 1>,
};

}  // namespace vl
