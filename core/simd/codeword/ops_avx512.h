// SPDX-License-Identifier: Apache-2.0
// What the AVX-512 levels share: 32 points x 8 codewords in sixteen accumulators.
#pragma once

#include <immintrin.h>

#include "simd/codeword/tile.h"

namespace vl {
namespace {

struct Avx512 {
  using Step = float;
  using Points = __m512;
  using Vec = __m512;
  using Int = __m512i;
  using Group = __m256;
  static constexpr int kLanes = 16;
  static constexpr int kWords = 8;

  static Vec infinity() { return _mm512_set1_ps(__builtin_inff()); }
  static Vec set1(float x) { return _mm512_set1_ps(x); }
  static Int integer(int x) { return _mm512_set1_epi32(x); }
  static Points load(const float* p) { return _mm512_loadu_ps(p); }
  static Points broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Vec step(Vec acc, Points x, Points word) { return _mm512_fmadd_ps(x, word, acc); }
  static Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
  static __mmask16 less(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Int choose(__mmask16 mask, Int yes, Int no) {
    return _mm512_mask_mov_epi32(no, mask, yes);
  }
  static void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
  static void store(std::int32_t* p, Int x) { _mm512_storeu_si512(p, x); }
  static Group load_group(const float* p) { return _mm256_loadu_ps(p); }
  static Group step_group(Group acc, const float* point, const float* words) {
    return _mm256_fmadd_ps(_mm256_broadcast_ss(point), _mm256_loadu_ps(words), acc);
  }
  static unsigned equal_group(Group acc, float minimum) {
    return _mm256_cmp_ps_mask(acc, _mm256_set1_ps(minimum), _CMP_EQ_OQ);
  }
};

}  // namespace
}  // namespace vl
