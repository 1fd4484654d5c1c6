// SPDX-License-Identifier: Apache-2.0
// What block.h needs beyond the panel Ops on 512-bit registers.
#pragma once

#include "simd/nearest/block.h"
#include "simd/panel/ops_avx512.h"

namespace vl {
namespace {

template <class Ops>
struct Nearest512 : Ops {
  static __m512 max(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
  static float top(__m512 a) { return _mm512_reduce_max_ps(a); }
  using Index = __m512i;
  static Index none() { return _mm512_setzero_si512(); }
  static void take(__m512 value, std::int32_t number, __m512& best, __m512& second, Index& index) {
    second = _mm512_max_ps(second, _mm512_min_ps(value, best));
    const __mmask16 better = _mm512_cmp_ps_mask(value, best, _CMP_GT_OQ);
    best = _mm512_max_ps(value, best);
    index = _mm512_mask_set1_epi32(index, better, number);
  }
  static void store_index(std::int32_t* p, Index index) { _mm512_storeu_si512(p, index); }
};

}  // namespace
}  // namespace vl
