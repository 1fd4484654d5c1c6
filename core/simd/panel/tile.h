// SPDX-License-Identifier: Apache-2.0
// The block product written once, over an Ops type that a level file provides. Included only by
// level files, inside their anonymous namespace rules: nothing here has external linkage.
//
// Ops gives:  Rows (64 bytes of a panel), Query (one 4-byte group broadcast), Acc (16
// accumulators),
//   load_rows, load_query, start(int32), step(acc, rows, query), to_float(acc) -> Float, and the
//   Float helpers load, set1, mul, min, max, fma, add, store, at_least (a 16-bit mask), blend (by
//   such a mask) and highest (of the sixteen lanes).
// Cost: a block of QB queries x NP panels does QB*NP steps for NP row loads and QB broadcasts, so
//   QB=12, NP=2 needs 14 loads for 24 steps and keeps 24 accumulators of the 32 zmm registers.
#pragma once

#include <cstdint>
#include <utility>

#include "simd/panel.h"

namespace vl {
namespace {

inline const unsigned char* query_row(const PanelQueries& q, int i) {
  return static_cast<const unsigned char*>(q.codes) + static_cast<std::int64_t>(i) * q.row_bytes;
}

// body(0), body(1), ... body(N - 1) with constant indices. GCC keeps an array in registers only
// when every index is a constant before its first scalar replacement pass; unrolled loops come too
// late for that.
template <class Body, int... I>
inline __attribute__((always_inline)) void unrolled(std::integer_sequence<int, I...>,
                                                    const Body& body) {
  (body(std::integral_constant<int, I>{}), ...);
}

template <int N, class Body>
inline __attribute__((always_inline)) void unrolled(const Body& body) {
  unrolled(std::make_integer_sequence<int, N>{}, body);
}

#define VL_UNROLLED(index) [&](auto index) __attribute__((always_inline))

// sums[i * NP + p] = starts[i] + query i x panel p. A function of its own, out of line: with the
// bounds and hits inlined behind it GCC spills the accumulators inside the loop (measured: 3x
// slower).
template <class Ops, int QB, int NP>
__attribute__((noinline)) void accumulate(const unsigned char* query, std::int64_t row_bytes,
                                          const unsigned char* panel, int groups,
                                          const std::int32_t* starts, typename Ops::Acc* sums) {
  const std::int64_t panel_bytes = static_cast<std::int64_t>(groups) * 64;
  typename Ops::Acc acc[QB * NP];
  unrolled<QB * NP>(
      VL_UNROLLED(j) { acc[j] = Ops::start(starts != nullptr ? starts[j / NP] : 0); });
  for (int g = 0; g < groups; ++g) {
    typename Ops::Rows rows[NP];
    unrolled<NP>(VL_UNROLLED(p) { rows[p] = Ops::load_rows(panel + p * panel_bytes + 64 * g); });
    unrolled<QB>(VL_UNROLLED(i) {
      const typename Ops::Query value = Ops::load_query(query + i * row_bytes + kGroupBytes * g);
      unrolled<NP>(
          VL_UNROLLED(p) { acc[i * NP + p] = Ops::step(acc[i * NP + p], rows[p], value); });
    });
  }
  unrolled<QB * NP>(VL_UNROLLED(j) { sums[j] = acc[j]; });
}

inline PanelHit* append_hits(unsigned mask, const float* values, int query, int panel,
                             PanelHit* out) {
  while (mask != 0) {
    const int lane = __builtin_ctz(mask);
    mask &= mask - 1;
    out->query = static_cast<std::uint32_t>(query);
    out->row = static_cast<std::uint32_t>(panel * kPanelRows + lane);
    out->value = values[lane];
    ++out;
  }
  return out;
}

// Heads stream, the rest is visited in no order the hardware foresees. With many queries some
// survive in nearly every panel, and the lines arrive while the heads are tested.
inline void prefetch_rest(const PanelQueries& q, const PanelPair& rows, int rest_groups) {
  constexpr int kManyQueries = 32;
  if (q.n < kManyQueries) return;
  const char* line = static_cast<const char*>(rows.rest);
  for (int g = 0; g < kPanelsPerCall * rest_groups; ++g) __builtin_prefetch(line + 64 * g);
}

template <class Ops>
inline __attribute__((always_inline)) typename Ops::Float scaled(const PanelQueries& q,
                                                                 const PanelPair& rows, int query,
                                                                 int panel,
                                                                 typename Ops::Float dot) {
  const typename Ops::Float value = Ops::mul(dot, Ops::load(rows.scale + panel * kPanelRows));
  if (q.bias == nullptr) return value;
  return Ops::fma(Ops::load(rows.bias + panel * kPanelRows), Ops::set1(q.bias[query]), value);
}

// What a bound must reach: h of panel.h, one value or one a row.
template <class Ops>
inline __attribute__((always_inline)) typename Ops::Float limit_of(const PanelQueries& q,
                                                                   const PanelPair& rows, int query,
                                                                   int panel) {
  const typename Ops::Float limit = Ops::set1(q.limit[query]);
  if (rows.limit == nullptr) return limit;
  return Ops::fma(Ops::set1(q.weight[query]),
                  Ops::min(limit, Ops::load(rows.limit + panel * kPanelRows)),
                  Ops::set1(q.offset[query]));
}

// Hits of one (query, panel) whose value over all groups is known.
template <class Ops>
inline __attribute__((always_inline)) PanelHit* settle(const PanelQueries& q, const PanelPair& rows,
                                                       int query, int panel,
                                                       typename Ops::Float value, PanelHit* out) {
  const unsigned mask = Ops::at_least(value, limit_of<Ops>(q, rows, query, panel));
  if (__builtin_expect(mask == 0, 1)) return out;
  alignas(64) float values[kPanelRows];
  Ops::store(values, value);
  return append_hits(mask, values, query, panel, out);
}

// Survivors of the heads of one call. Appending does not branch: the next slot is always written
// and the count moves on only when a lane's bound reaches the limit, so rare survivors cost no
// mispredictions.
struct Survivors {
  float* values[kPanelsPerCall];
  std::int32_t* queries[kPanelsPerCall];
  std::int64_t count[kPanelsPerCall] = {0, 0};

  explicit Survivors(const PanelQueries& q)
      : values{q.survivor_values, q.survivor_values + kPanelRows * (q.n + 1)},
        queries{q.survivors, q.survivors + q.n + 1} {}
};

// Tests the heads of `count` queries from `first` on against one panel; dot(i) gives their
// products. The terms of the panel and the count stay in registers.
template <class Ops, class Dot>
inline __attribute__((always_inline)) void test_heads(const PanelQueries& q, const PanelPair& rows,
                                                      int first, int count, int panel,
                                                      const Dot& dot, Survivors& alive) {
  using Float = typename Ops::Float;
  const Float scale = Ops::load(rows.scale + panel * kPanelRows);
  const Float reach = Ops::load(rows.tail + panel * kPanelRows);
  float* values = alive.values[panel];
  std::int32_t* queries = alive.queries[panel];
  const float* tails = q.tail + first;
  std::int64_t slot = alive.count[panel];
  for (int i = 0; i < count; ++i) {
    Float value = Ops::mul(dot(i), scale);
    if (q.bias != nullptr) {
      value =
          Ops::fma(Ops::load(rows.bias + panel * kPanelRows), Ops::set1(q.bias[first + i]), value);
    }
    const Float bound = Ops::fma(reach, Ops::set1(tails[i]), value);
    Ops::store(values + slot * kPanelRows, value);
    queries[slot] = first + i;
    slot += Ops::at_least(bound, limit_of<Ops>(q, rows, first + i, panel)) != 0 ? 1 : 0;
  }
  alive.count[panel] = slot;
}

// The groups after the head for QB chosen queries and one panel.
template <class Ops, int QB>
__attribute__((noinline)) void accumulate_chosen(const PanelQueries& q, const std::int32_t* chosen,
                                                 const unsigned char* panel, int skip, int groups,
                                                 typename Ops::Acc* sums) {
  typename Ops::Acc acc[QB];
  const unsigned char* codes[QB];
  unrolled<QB>(VL_UNROLLED(i) {
    codes[i] = query_row(q, chosen[i]) + static_cast<std::int64_t>(skip) * kGroupBytes;
    acc[i] = Ops::start(q.rest_start != nullptr ? q.rest_start[chosen[i]] : 0);
  });
  for (int g = 0; g < groups; ++g) {
    const typename Ops::Rows rows = Ops::load_rows(panel + 64 * g);
    unrolled<QB>(VL_UNROLLED(i) {
      acc[i] = Ops::step(acc[i], rows, Ops::load_query(codes[i] + kGroupBytes * g));
    });
  }
  unrolled<QB>(VL_UNROLLED(i) { sums[i] = acc[i]; });
}

// Completes the survivors of both panels, eight queries at a time; the last block repeats its last
// query.
template <class Ops>
PanelHit* complete(const PanelQueries& q, const PanelPair& rows, int groups, int rest_groups,
                   Survivors& alive, PanelHit* out) {
  constexpr int kBlock = 8;
  for (int panel = 0; panel < kPanelsPerCall; ++panel) {
    const unsigned char* base =
        static_cast<const unsigned char*>(rows.rest) + panel * 64 * rest_groups;
    const std::int64_t count = alive.count[panel];
    for (std::int64_t first = 0; first < count; first += kBlock) {
      std::int32_t chosen[kBlock];
      for (int i = 0; i < kBlock; ++i) {
        chosen[i] = alive.queries[panel][first + i < count ? first + i : count - 1];
      }
      typename Ops::Acc sums[kBlock];
      accumulate_chosen<Ops, kBlock>(q, chosen, base, groups, rest_groups, sums);
      for (int i = 0; i < kBlock && first + i < count; ++i) {
        const typename Ops::Float rest =
            Ops::mul(Ops::to_float(sums[i]), Ops::load(rows.rest_scale + panel * kPanelRows));
        const typename Ops::Float value =
            Ops::fma(rest, Ops::set1(q.rest_weight[chosen[i]]),
                     Ops::load(alive.values[panel] + (first + i) * kPanelRows));
        out = settle<Ops>(q, rows, chosen[i], panel, value, out);
      }
    }
  }
  return out;
}

template <class Ops, int QB, int NP>
inline PanelHit* filter_block(const PanelQueries& q, const PanelPair& rows, int groups, bool whole,
                              int first, int first_panel, Survivors& alive, PanelHit* out) {
  typename Ops::Acc sums[QB * NP];
  const unsigned char* panel =
      static_cast<const unsigned char*>(rows.data) + first_panel * 64 * groups;
  accumulate<Ops, QB, NP>(query_row(q, first), q.row_bytes, panel, groups,
                          q.start != nullptr ? q.start + first : nullptr, sums);
  for (int p = 0; p < NP; ++p) {
    const auto dot = [&](int i) { return Ops::to_float(sums[i * NP + p]); };
    if (whole) {
      for (int i = 0; i < QB; ++i) {
        const auto value = scaled<Ops>(q, rows, first + i, first_panel + p, dot(i));
        out = settle<Ops>(q, rows, first + i, first_panel + p, value, out);
      }
    } else {
      test_heads<Ops>(q, rows, first, QB, first_panel + p, dot, alive);
    }
  }
  return out;
}

template <class Ops, int QB, int NP>
std::int64_t filter_panels(const PanelQueries& q, const PanelPair& rows, int groups,
                           int rest_groups, PanelHit* out) {
  PanelHit* const begin = out;
  const bool whole = rest_groups == 0;
  Survivors alive(q);
  prefetch_rest(q, rows, rest_groups);
  const int blocked = q.n / QB * QB;
  for (int panel = 0; panel < kPanelsPerCall; panel += NP) {
    for (int i = 0; i < blocked; i += QB) {
      out = filter_block<Ops, QB, NP>(q, rows, groups, whole, i, panel, alive, out);
    }
  }
  // What is left over, and searches of few queries, which are bound by memory: prefetchers follow
  // one stream better than two (measured: 2x). Four queries are enough to hide the latency of a
  // step.
  constexpr int kFew = 4;
  for (int panel = 0; panel < kPanelsPerCall; ++panel) {
    int i = blocked;
    for (; i + kFew <= q.n; i += kFew) {
      out = filter_block<Ops, kFew, 1>(q, rows, groups, whole, i, panel, alive, out);
    }
    for (; i < q.n; ++i) {
      out = filter_block<Ops, 1, 1>(q, rows, groups, whole, i, panel, alive, out);
    }
  }
  if (!whole) out = complete<Ops>(q, rows, groups, rest_groups, alive, out);
  return out - begin;
}

template <class Ops, int QB, int NP>
inline void product_block(const unsigned char* query, std::int64_t row_bytes,
                          const unsigned char* panel, int groups, float* out,
                          std::int64_t out_stride) {
  typename Ops::Acc sums[QB * NP];
  accumulate<Ops, QB, NP>(query, row_bytes, panel, groups, nullptr, sums);
  for (int i = 0; i < QB; ++i) {
    for (int p = 0; p < NP; ++p) {
      Ops::store(out + i * out_stride + p * kPanelRows, Ops::to_float(sums[i * NP + p]));
    }
  }
}

// Blocks of QB queries and NP panels; what is left over of the queries goes four by four, and then
// one by one against Wide panels: a single chain of sums would wait for each step to end.
template <class Ops, int QB, int NP, int Wide>
void product_panels(const void* queries, std::int64_t row_bytes, int n, const void* panels,
                    int pairs, int groups, float* out, std::int64_t out_stride) {
  const auto* query = static_cast<const unsigned char*>(queries);
  const auto* data = static_cast<const unsigned char*>(panels);
  const std::int64_t panel_bytes = static_cast<std::int64_t>(groups) * 64;
  const int n_panels = pairs * kPanelsPerCall;
  const auto block = [&](auto rows, auto wide, int i, int p) {
    product_block<Ops, rows, wide>(query + i * row_bytes, row_bytes, data + p * panel_bytes, groups,
                                   out + i * out_stride + p * kPanelRows, out_stride);
  };
  using Several = std::integral_constant < int, QB<4 ? QB : 4>;
  const int whole = n / QB * QB, ones = n - (n - whole) % Several::value;
  for (int p = 0; p < n_panels; p += NP) {
    constexpr std::integral_constant<int, NP> narrow;
    for (int i = 0; i < whole; i += QB) block(std::integral_constant<int, QB>{}, narrow, i, p);
    for (int i = whole; i < ones; i += Several::value) block(Several{}, narrow, i, p);
  }
  if (ones == n) return;
  constexpr std::integral_constant<int, 1> one;
  int p = 0;
  for (; p + Wide <= n_panels; p += Wide) {
    for (int i = ones; i < n; ++i) block(one, std::integral_constant<int, Wide>{}, i, p);
  }
  for (; p < n_panels; p += NP) {
    for (int i = ones; i < n; ++i) block(one, std::integral_constant<int, NP>{}, i, p);
  }
}

}  // namespace
}  // namespace vl
