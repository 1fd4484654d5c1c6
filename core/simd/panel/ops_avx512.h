// SPDX-License-Identifier: Apache-2.0
// Ops of tile.h on 512-bit registers: what is common to the AVX-512 levels, and the steps of each.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "simd/panel/reach.h"
#include "simd/panel/tile.h"

namespace vl {
namespace {

inline std::int32_t group_at(const unsigned char* p) {
  std::int32_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}

struct Float512 {
  using Float = __m512;
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static Float set1(float v) { return _mm512_set1_ps(v); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static unsigned at_least(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
  static Float blend(unsigned lanes, Float yes, Float no) {
    return _mm512_mask_blend_ps(static_cast<__mmask16>(lanes), no, yes);
  }
  static float highest(Float v) { return _mm512_reduce_max_ps(v); }
};

struct FloatOps512 : Float512 {
  using Rows = __m512;
  using Query = __m512;
  using Acc = __m512;
  static Rows load_rows(const unsigned char* p) {
    return _mm512_castsi512_ps(_mm512_loadu_si512(p));
  }
  static Query load_query(const unsigned char* p) {
    return _mm512_castsi512_ps(_mm512_set1_epi32(group_at(p)));
  }
  static Acc start(std::int32_t) { return _mm512_setzero_ps(); }
  static Acc step(Acc acc, Rows r, Query q) { return _mm512_fmadd_ps(r, q, acc); }
  static __m512 to_float(Acc acc) { return acc; }
};

// bfloat16 without the bf16 dot product: split each 32-bit lane into its two halves as float32.
struct Bf16SplitOps512 : Float512 {
  struct Pair {
    __m512 low, high;
  };
  using Rows = Pair;
  using Query = Pair;
  using Acc = __m512;
  static Pair split(__m512i v) {
    const __m512i high = _mm512_and_si512(v, _mm512_set1_epi32(static_cast<int>(0xffff0000U)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(v, 16)), _mm512_castsi512_ps(high)};
  }
  static Rows load_rows(const unsigned char* p) { return split(_mm512_loadu_si512(p)); }
  static Query load_query(const unsigned char* p) { return split(_mm512_set1_epi32(group_at(p))); }
  static Acc start(std::int32_t) { return _mm512_setzero_ps(); }
  static Acc step(Acc acc, const Rows& r, const Query& q) {
    return _mm512_fmadd_ps(r.high, q.high, _mm512_fmadd_ps(r.low, q.low, acc));
  }
  static __m512 to_float(Acc acc) { return acc; }
};

struct Int8Ops512 : Float512 {
  using Rows = __m512i;
  using Query = __m512i;
  using Acc = __m512i;
  static Rows load_rows(const unsigned char* p) { return _mm512_loadu_si512(p); }
  static Query load_query(const unsigned char* p) { return _mm512_set1_epi32(group_at(p)); }
  static Acc start(std::int32_t v) { return _mm512_set1_epi32(v); }
  static __m512 to_float(Acc acc) { return _mm512_cvtepi32_ps(acc); }
};

// int8 without VNNI: uint8 x int8 pairs into int16 (|pair| <= 255 * 63 * 2 = 32130 never saturates,
// hence int8_query_max = 63), then pairs of those into int32.
struct Int8MaddOps512 : Int8Ops512 {
  static Acc step(Acc acc, Rows r, Query q) {
    const __m512i pairs = _mm512_maddubs_epi16(r, q);
    return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};

#if defined(__AVX512VNNI__)
struct Int8VnniOps512 : Int8Ops512 {
  static Acc step(Acc acc, Rows r, Query q) { return _mm512_dpbusd_epi32(acc, r, q); }
};
#endif

#if defined(__AVX512BF16__)
struct Bf16Ops512 : Float512 {
  using Rows = __m512i;
  using Query = __m512i;
  using Acc = __m512;
  static Rows load_rows(const unsigned char* p) { return _mm512_loadu_si512(p); }
  static Query load_query(const unsigned char* p) { return _mm512_set1_epi32(group_at(p)); }
  static Acc start(std::int32_t) { return _mm512_setzero_ps(); }
  static Acc step(Acc acc, Rows r, Query q) {
    return _mm512_dpbf16_ps(acc, reinterpret_cast<__m512bh>(r), reinterpret_cast<__m512bh>(q));
  }
  static __m512 to_float(Acc acc) { return acc; }
};
#endif

}  // namespace
}  // namespace vl
