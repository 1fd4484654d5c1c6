// SPDX-License-Identifier: Apache-2.0
// The screen of nearest.h over the Ops of simd/panel/tile.h, with two more: max(Float, Float) and
// top(Float), the largest lane. Included by level files only; all linkage is internal.
#pragma once

#include <cstdint>

#include "simd/nearest.h"
#include "simd/panel/tile.h"

namespace vl {
namespace {

// sums[i * NP + p] = start + row chosen[i] x panel p; out of line for the reason given in
// core/simd/panel/README.md.
template <class Ops, int QB, int NP>
__attribute__((noinline)) void accumulate_listed(const NearestRows& rows,
                                                 const std::int32_t* chosen,
                                                 const unsigned char* panel, int groups,
                                                 typename Ops::Acc* sums) {
  const std::int64_t panel_bytes = static_cast<std::int64_t>(groups) * 64;
  typename Ops::Acc acc[QB * NP];
  const unsigned char* codes[QB];
  unrolled<QB>(VL_UNROLLED(i) {
    codes[i] = reinterpret_cast<const unsigned char*>(rows.codes) + chosen[i] * rows.row_bytes;
    unrolled<NP>(VL_UNROLLED(p) { acc[i * NP + p] = Ops::start(rows.start[chosen[i]]); });
  });
  for (int g = 0; g < groups; ++g) {
    typename Ops::Rows centroids[NP];
    unrolled<NP>(
        VL_UNROLLED(p) { centroids[p] = Ops::load_rows(panel + p * panel_bytes + 64 * g); });
    unrolled<QB>(VL_UNROLLED(i) {
      const typename Ops::Query value = Ops::load_query(codes[i] + kGroupBytes * g);
      unrolled<NP>(
          VL_UNROLLED(p) { acc[i * NP + p] = Ops::step(acc[i * NP + p], centroids[p], value); });
    });
  }
  unrolled<QB * NP>(VL_UNROLLED(j) { sums[j] = acc[j]; });
}

template <class Ops, int QB, int NP>
inline PanelHit* screen_block(const NearestRows& rows, const std::int32_t* chosen, int count,
                              const PanelPair& pair, int groups, float* top, PanelHit* out) {
  using Float = typename Ops::Float;
  typename Ops::Acc sums[QB * kPanelsPerCall];
  const auto* panels = static_cast<const unsigned char*>(pair.data);
  for (int p = 0; p < kPanelsPerCall; p += NP) {
    accumulate_listed<Ops, QB, NP>(
        rows, chosen, panels + static_cast<std::int64_t>(p) * 64 * groups, groups, sums + p * QB);
  }
  for (int i = 0; i < count; ++i) {
    const std::int32_t row = chosen[i];
    const Float limit = Ops::set1(rows.limit[row]);
    const Float weight = Ops::set1(rows.weight[row]);
    Float values[kPanelsPerCall];
    unsigned masks[kPanelsPerCall];
    for (int p = 0; p < kPanelsPerCall; ++p) {
      const int at = p / NP * NP * QB + i * NP + p % NP;
      values[p] =
          Ops::fma(Ops::load(pair.bias + p * kPanelRows), weight,
                   Ops::mul(Ops::to_float(sums[at]), Ops::load(pair.scale + p * kPanelRows)));
      masks[p] = Ops::at_least(values[p], limit);
    }
    top[i] = Ops::top(Ops::max(values[0], values[1]));
    if (__builtin_expect((masks[0] | masks[1]) == 0, 1)) continue;
    alignas(64) float lanes[kPanelRows];
    for (int p = 0; p < kPanelsPerCall; ++p) {
      Ops::store(lanes, values[p]);
      out = append_hits(masks[p], lanes, row, p, out);
    }
  }
  return out;
}

// The last block repeats its last row to be full; blocks of few rows waste less on that.
template <class Ops, int QB, int NP, int Few>
std::int64_t screen_rows(const NearestRows& rows, const std::int32_t* chosen, int n,
                         const PanelPair& pair, int groups, float* top, PanelHit* out) {
  PanelHit* const begin = out;
  int i = 0;
  for (; i + QB <= n; i += QB) {
    out = screen_block<Ops, QB, NP>(rows, chosen + i, QB, pair, groups, top + i, out);
  }
  for (; i < n; i += Few) {
    std::int32_t listed[Few];
    for (int j = 0; j < Few; ++j) listed[j] = chosen[i + j < n ? i + j : n - 1];
    const int count = n - i < Few ? n - i : Few;
    out = screen_block<Ops, Few, NP>(rows, listed, count, pair, groups, top + i, out);
  }
  return out - begin;
}

// NC centroids x NB lines of sixteen rows at a time. Ops gives, beside load, set1 and fma on Float:
// Index, none(), and take(value, number, best, second, index), which keeps the two largest.
template <class Ops, int NC, int NB>
void scan_lanes(const float* rows, int dim, const float* centroids, const float* bias,
                const std::int32_t* list, int n_list, float /*offset*/, float* best, float* second,
                std::int32_t* index) {
  using Float = typename Ops::Float;
  for (int line = 0; line < kLaneRows / kPanelRows; line += NB) {
    const float* lanes = rows + line * kPanelRows;
    Float first[NB], next[NB];
    typename Ops::Index found[NB];
    unrolled<NB>(VL_UNROLLED(b) {
      first[b] = next[b] = Ops::set1(-__builtin_inff());
      found[b] = Ops::none();
    });
    for (int i = 0; i < n_list; i += NC) {
      Float acc[NC * NB];
      const float* values[NC];
      unrolled<NC>(VL_UNROLLED(c) {
        values[c] = centroids + static_cast<std::int64_t>(list[i + c]) * dim;
        unrolled<NB>(VL_UNROLLED(b) { acc[c * NB + b] = Ops::set1(bias[list[i + c]]); });
      });
      for (int d = 0; d < dim; ++d) {
        Float x[NB];
        unrolled<NB>(VL_UNROLLED(b) { x[b] = Ops::load(lanes + d * kLaneRows + b * kPanelRows); });
        unrolled<NC>(VL_UNROLLED(c) {
          const Float value = Ops::set1(values[c][d]);
          unrolled<NB>(
              VL_UNROLLED(b) { acc[c * NB + b] = Ops::fma(x[b], value, acc[c * NB + b]); });
        });
      }
      unrolled<NC>(VL_UNROLLED(c) {
        unrolled<NB>(VL_UNROLLED(b) {
          Ops::take(acc[c * NB + b], list[i + c], first[b], next[b], found[b]);
        });
      });
    }
    unrolled<NB>(VL_UNROLLED(b) {
      const int at = (line + b) * kPanelRows;
      Ops::store(best + at, first[b]);
      Ops::store(second + at, next[b]);
      Ops::store_index(index + at, found[b]);
    });
  }
}

}  // namespace
}  // namespace vl
