// SPDX-License-Identifier: Apache-2.0
// Rows against centroids, AVX2 + FMA: a panel is two ymm registers wide.
#include <immintrin.h>

#include "simd/nearest/block.h"

namespace vl {
namespace {

struct Wide {
  __m256 low, high;
};

struct WideInt {
  __m256i low, high;
};

// uint8 x int8 pairs into int16: |pair| <= 255 * 63 * 2 = 32130 never saturates.
struct Nearest256 {
  using Float = Wide;
  using Rows = WideInt;
  using Query = __m256i;
  using Acc = WideInt;
  static Float load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static Float set1(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
  static Float mul(Float a, Float b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static Float max(Float a, Float b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  static Float fma(Float a, Float b, Float c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
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
  static float top(Float v) {
    const __m256 eight = _mm256_max_ps(v.low, v.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
  }
  using Index = Wide;  // bits of int32
  static Index none() { return set1(0.0F); }
  static void take_half(__m256 value, __m256 number, __m256& best, __m256& second, __m256& index) {
    second = _mm256_max_ps(second, _mm256_min_ps(value, best));
    index = _mm256_blendv_ps(index, number, _mm256_cmp_ps(value, best, _CMP_GT_OQ));
    best = _mm256_max_ps(value, best);
  }
  static void take(Float value, std::int32_t number, Float& best, Float& second, Index& index) {
    const __m256 bits = _mm256_castsi256_ps(_mm256_set1_epi32(number));
    take_half(value.low, bits, best.low, second.low, index.low);
    take_half(value.high, bits, best.high, second.high, index.high);
  }
  static void store_index(std::int32_t* p, Index index) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_castps_si256(index.low));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), _mm256_castps_si256(index.high));
  }
  static Rows load_rows(const unsigned char* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
  }
  static Query load_query(const unsigned char* p) {
    std::int32_t group;
    __builtin_memcpy(&group, p, sizeof(group));
    return _mm256_set1_epi32(group);
  }
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

extern const NearestKernels kNearestAvx2;
const NearestKernels kNearestAvx2 = {
    SimdLevel::kAvx2,
    63,
    screen_rows<Nearest256, 4, 1, 1>,
    scan_lanes<Nearest256, 2, 1>,
};

}  // namespace vl
