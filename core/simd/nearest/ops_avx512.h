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
};

// The two largest of up to kChunk values a lane, each with its position in its low bits. Positive
// floats are ordered as their bits are, so that three integer operations a value keep them, on
// other pipes than the multiply-adds.
constexpr int kPositionBits = 8;
constexpr int kChunk = 1 << kPositionBits;

struct Positions {
  std::int32_t at[kChunk];
  constexpr Positions() : at() {
    for (int i = 0; i < kChunk; ++i) at[i] = i;
  }
};
constexpr Positions kPositions;

template <int NC, int NB>
inline __attribute__((always_inline)) void scan_chunk(const float* lanes, int dim,
                                                      const float* centroids, const float* bias,
                                                      const std::int32_t* list, int n_list,
                                                      float offset, __m512i* best,
                                                      __m512i* second) {
  const __m512i high = _mm512_set1_epi32(-kChunk);
  const __m512 lift = _mm512_set1_ps(offset);
  __m512i first[NB], next[NB];
  unrolled<NB>(
      VL_UNROLLED(b) { first[b] = next[b] = _mm512_set1_epi32(static_cast<int>(0x80000000U)); });
  for (int i = 0; i < n_list; i += NC) {
    __m512 acc[NC * NB];
    const float* values[NC];
    unrolled<NC>(VL_UNROLLED(c) {
      values[c] = centroids + static_cast<std::int64_t>(list[i + c]) * dim;
      const __m512 start = _mm512_add_ps(_mm512_set1_ps(bias[list[i + c]]), lift);
      unrolled<NB>(VL_UNROLLED(b) { acc[c * NB + b] = start; });
    });
    for (int d = 0; d < dim; ++d) {
      __m512 x[NB];
      unrolled<NB>(
          VL_UNROLLED(b) { x[b] = _mm512_loadu_ps(lanes + d * kLaneRows + b * kPanelRows); });
      unrolled<NC>(VL_UNROLLED(c) {
        const __m512 value = _mm512_set1_ps(values[c][d]);
        unrolled<NB>(
            VL_UNROLLED(b) { acc[c * NB + b] = _mm512_fmadd_ps(x[b], value, acc[c * NB + b]); });
      });
    }
    unrolled<NC>(VL_UNROLLED(c) {
      const __m512i position = _mm512_set1_epi32(kPositions.at[i + c]);
      unrolled<NB>(VL_UNROLLED(b) {
        constexpr int kSelect = 0xEA;  // (value & high) | position
        const __m512i tagged = _mm512_ternarylogic_epi32(_mm512_castps_si512(acc[c * NB + b]), high,
                                                         position, kSelect);
        next[b] = _mm512_max_epi32(next[b], _mm512_min_epi32(tagged, first[b]));
        first[b] = _mm512_max_epi32(first[b], tagged);
      });
    });
  }
  unrolled<NB>(VL_UNROLLED(b) {
    best[b] = first[b];
    second[b] = next[b];
  });
}

inline __m512 untagged(__m512i tagged) {
  return _mm512_castsi512_ps(_mm512_and_si512(tagged, _mm512_set1_epi32(-kChunk)));
}

inline void scan_lanes_512(const float* rows, int dim, const float* centroids, const float* bias,
                           const std::int32_t* list, int n_list, float offset, float* best,
                           float* second, std::int32_t* index) {
  constexpr int kLines = kLaneRows / kPanelRows;
  __m512 first[kLines], next[kLines];
  __m512i found[kLines];
  for (int b = 0; b < kLines; ++b) {
    first[b] = next[b] = _mm512_set1_ps(-__builtin_inff());
    found[b] = _mm512_setzero_si512();
  }
  for (int chunk = 0; chunk < n_list; chunk += kChunk) {
    const int count = n_list - chunk < kChunk ? n_list - chunk : kChunk;
    __m512i top[kLines], under[kLines];
    scan_chunk<4, kLines>(rows, dim, centroids, bias, list + chunk, count, offset, top, under);
    for (int b = 0; b < kLines; ++b) {
      const __m512 value = untagged(top[b]);
      const __m512i at = _mm512_add_epi32(_mm512_and_si512(top[b], _mm512_set1_epi32(kChunk - 1)),
                                          _mm512_set1_epi32(chunk));
      const __mmask16 better = _mm512_cmp_ps_mask(value, first[b], _CMP_GT_OQ);
      next[b] =
          _mm512_max_ps(_mm512_max_ps(next[b], untagged(under[b])), _mm512_min_ps(value, first[b]));
      first[b] = _mm512_max_ps(first[b], value);
      found[b] = _mm512_mask_mov_epi32(found[b], better, at);
    }
  }
  for (int b = 0; b < kLines; ++b) {
    const __m512 lift = _mm512_set1_ps(offset);
    _mm512_storeu_ps(best + b * kPanelRows, _mm512_sub_ps(first[b], lift));
    _mm512_storeu_ps(second + b * kPanelRows, _mm512_sub_ps(next[b], lift));
    _mm512_storeu_si512(index + b * kPanelRows, found[b]);
  }
  for (int i = 0; i < kLaneRows; ++i) index[i] = list[index[i]];
}

}  // namespace
}  // namespace vl
