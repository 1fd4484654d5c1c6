// SPDX-License-Identifier: Apache-2.0
// The highest value that the rows of an item reach on each query, over the Ops of tile.h: nothing
// is compared with a limit and nothing branches on a product, so that a sweep costs its products.
// The maxima of an item stay sixteen lanes wide until its last row.
#pragma once

#include <cstdint>
#include <limits>

#include "simd/panel/tile.h"

namespace vl {
namespace {

constexpr unsigned kAllLanes = 0xffffU;

// What the values of one panel are made of, kept in registers over a block of queries.
template <class Ops>
struct ReachTerms {
  typename Ops::Float scale;
  typename Ops::Float more;  // T, or A of the rest; neither where there is no head

  ReachTerms(const PanelQueries& q, const PanelPair& rows, int panel, bool whole)
      : scale(Ops::load(rows.scale + panel * kPanelRows)), more(scale) {
    if (whole) {
      more = Ops::load(rows.rest_scale + panel * kPanelRows);
    } else if (q.tail != nullptr) {
      more = Ops::load(rows.tail + panel * kPanelRows);
    }
  }
};

// The value of sixteen rows on one query; `rest` counts with whole only.
template <class Ops>
inline __attribute__((always_inline)) typename Ops::Float reached(const PanelQueries& q, int query,
                                                                  const ReachTerms<Ops>& terms,
                                                                  bool whole,
                                                                  typename Ops::Float dot,
                                                                  typename Ops::Float rest) {
  const typename Ops::Float value = Ops::mul(dot, terms.scale);
  if (whole) return Ops::fma(Ops::mul(rest, terms.more), Ops::set1(q.rest_weight[query]), value);
  return q.tail == nullptr ? value : Ops::fma(terms.more, Ops::set1(q.tail[query]), value);
}

// Takes the values of one panel for one query into the maxima of the items they belong to.
template <class Ops>
inline __attribute__((always_inline)) typename Ops::Float fold_runs(const PanelRuns& runs,
                                                                    int panel,
                                                                    typename Ops::Float value,
                                                                    typename Ops::Float best,
                                                                    float* out) {
  const auto none = Ops::set1(-std::numeric_limits<float>::infinity());
  const PanelRun* run = runs.runs + panel * kPanelRows;
  for (int r = 0; r < runs.count[panel]; ++r, ++run) {
    best = Ops::max(best, run->lanes == kAllLanes ? value : Ops::blend(run->lanes, value, none));
    if (run->ends) {
      out[run->item] = Ops::highest(best);
      best = none;
    }
  }
  return best;
}

// All rows of both panels belong to one item that goes on.
inline bool within_one_item(const PanelRuns& runs) {
  const PanelRun& a = runs.runs[0];
  const PanelRun& b = runs.runs[kPanelRows];
  return runs.count[0] == 1 && runs.count[1] == 1 && a.lanes == kAllLanes && !a.ends &&
         b.lanes == kAllLanes && !b.ends;
}

template <class Ops, int QB, int NP>
inline void reach_block(const PanelQueries& q, const PanelPair& rows, int groups, int rest_groups,
                        int first, int first_panel, const PanelRuns& runs, float* open, float* out,
                        std::int64_t out_stride) {
  typename Ops::Acc sums[QB * NP];
  typename Ops::Acc rest[QB * NP];
  const bool whole = rest_groups > 0;
  const auto* head = static_cast<const unsigned char*>(rows.data);
  const unsigned char* codes = query_row(q, first);
  accumulate<Ops, QB, NP>(codes, q.row_bytes, head + first_panel * 64 * groups, groups,
                          q.start + first, sums);
  if (whole) {
    const auto* panel = static_cast<const unsigned char*>(rows.rest);
    accumulate<Ops, QB, NP>(codes + static_cast<std::int64_t>(groups) * kGroupBytes, q.row_bytes,
                            panel + first_panel * 64 * rest_groups, rest_groups,
                            q.rest_start + first, rest);
  }
  const bool within = NP == kPanelsPerCall && within_one_item(runs);
  const ReachTerms<Ops> terms(q, rows, first_panel, whole);
  const ReachTerms<Ops> last_terms(q, rows, first_panel + NP - 1, whole);
  for (int i = 0; i < QB; ++i) {
    float* mine = open + (first + i) * kPanelRows;
    const auto value = [&](int p) {
      const int j = i * NP + p;
      const auto more = whole ? Ops::to_float(rest[j]) : Ops::set1(0.0F);
      return reached<Ops>(q, first + i, p == 0 ? terms : last_terms, whole, Ops::to_float(sums[j]),
                          more);
    };
    typename Ops::Float best = Ops::load(mine);
    if (within) {
      best = Ops::max(best, Ops::max(value(0), value(NP - 1)));
    } else {
      for (int p = 0; p < NP; ++p) {
        best =
            fold_runs<Ops>(runs, first_panel + p, value(p), best, out + (first + i) * out_stride);
      }
    }
    Ops::store(mine, best);
  }
}

template <class Ops, int QB, int NP>
void reach_panels(const PanelQueries& q, const PanelPair& rows, int groups, int rest_groups,
                  const PanelRuns& runs, float* open, float* out, std::int64_t out_stride) {
  constexpr int kFew = 4;
  const int blocked = q.n / QB * QB;
  for (int panel = 0; panel < kPanelsPerCall; panel += NP) {
    for (int i = 0; i < blocked; i += QB) {
      reach_block<Ops, QB, NP>(q, rows, groups, rest_groups, i, panel, runs, open, out, out_stride);
    }
  }
  for (int panel = 0; panel < kPanelsPerCall; ++panel) {
    int i = blocked;
    for (; i + kFew <= q.n; i += kFew) {
      reach_block<Ops, kFew, 1>(q, rows, groups, rest_groups, i, panel, runs, open, out,
                                out_stride);
    }
    for (; i < q.n; ++i) {
      reach_block<Ops, 1, 1>(q, rows, groups, rest_groups, i, panel, runs, open, out, out_stride);
    }
  }
}

}  // namespace
}  // namespace vl
