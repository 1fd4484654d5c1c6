// SPDX-License-Identifier: Apache-2.0
// The block product written once, over an Ops type that a level file provides. Included only by level
// files, inside their anonymous namespace rules: nothing here has external linkage.
//
// Ops gives:  Rows (64 bytes of a panel), Query (one 4-byte group broadcast), Acc (16 accumulators),
//   load_rows, load_query, start(int32), step(acc, rows, query), to_float(acc) -> Float, and the
//   Float helpers load, set1, mul, fma, add, store and at_least (a 16-bit mask).
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

// body(0), body(1), ... body(N - 1) with constant indices. GCC keeps an array in registers only when every
// index is a constant before its first scalar replacement pass; unrolled loops come too late for that.
template <class Body, int... I>
inline __attribute__((always_inline)) void unrolled(std::integer_sequence<int, I...>, const Body& body) {
  (body(std::integral_constant<int, I>{}), ...);
}

template <int N, class Body>
inline __attribute__((always_inline)) void unrolled(const Body& body) {
  unrolled(std::make_integer_sequence<int, N>{}, body);
}

#define VL_UNROLLED(index) [&](auto index) __attribute__((always_inline))

// sums[i * NP + p] = starts[i] + query i x panel p. A function of its own, out of line: with the bounds and
// hits inlined behind it GCC spills the accumulators inside the loop (measured: 3x slower).
template <class Ops, int QB, int NP>
__attribute__((noinline)) void accumulate(const unsigned char* query, std::int64_t row_bytes,
                                          const unsigned char* panel, std::int64_t panel_bytes,
                                          int groups, const std::int32_t* starts,
                                          typename Ops::Acc* sums) {
  typename Ops::Acc acc[QB * NP];
  unrolled<QB * NP>(VL_UNROLLED(j) { acc[j] = Ops::start(starts != nullptr ? starts[j / NP] : 0); });
  for (int g = 0; g < groups; ++g) {
    typename Ops::Rows rows[NP];
    unrolled<NP>(VL_UNROLLED(p) { rows[p] = Ops::load_rows(panel + p * panel_bytes + 64 * g); });
    unrolled<QB>(VL_UNROLLED(i) {
      const typename Ops::Query value = Ops::load_query(query + i * row_bytes + kGroupBytes * g);
      unrolled<NP>(VL_UNROLLED(p) { acc[i * NP + p] = Ops::step(acc[i * NP + p], rows[p], value); });
    });
  }
  unrolled<QB * NP>(VL_UNROLLED(j) { sums[j] = acc[j]; });
}

// The groups after the head for one query and one panel; four chains hide the latency of a step.
template <class Ops>
inline typename Ops::Float finish_tail(const unsigned char* query, const unsigned char* panel, int head,
                                       int groups, std::int32_t start) {
  typename Ops::Acc a0 = Ops::start(start);
  typename Ops::Acc a1 = Ops::start(0);
  typename Ops::Acc a2 = Ops::start(0);
  typename Ops::Acc a3 = Ops::start(0);
  for (int g = head; g < groups; g += 4) {  // group counts are multiples of 16
    a0 = Ops::step(a0, Ops::load_rows(panel + 64 * g), Ops::load_query(query + 4 * g));
    a1 = Ops::step(a1, Ops::load_rows(panel + 64 * g + 64), Ops::load_query(query + 4 * g + 4));
    a2 = Ops::step(a2, Ops::load_rows(panel + 64 * g + 128), Ops::load_query(query + 4 * g + 8));
    a3 = Ops::step(a3, Ops::load_rows(panel + 64 * g + 192), Ops::load_query(query + 4 * g + 12));
  }
  return Ops::add(Ops::add(Ops::to_float(a0), Ops::to_float(a1)),
                  Ops::add(Ops::to_float(a2), Ops::to_float(a3)));
}

inline PanelHit* append_hits(unsigned mask, const float* values, int query, int panel, PanelHit* out) {
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

// Bound, completion and hits for one (query, panel) whose head product is `dot`.
template <class Ops>
inline __attribute__((always_inline)) PanelHit* settle(const PanelQueries& q, const PanelPair& rows,
                                                       int head, int groups, int query, int panel,
                                                       typename Ops::Float dot, PanelHit* out) {
  using Float = typename Ops::Float;
  const Float scale = Ops::load(rows.scale + panel * kPanelRows);
  const Float limit = Ops::set1(q.limit[query]);
  Float value = Ops::mul(dot, scale);
  if (q.bias != nullptr) {
    value = Ops::fma(Ops::load(rows.bias + panel * kPanelRows), Ops::set1(q.bias[query]), value);
  }
  if (head == groups) {
    const unsigned mask = Ops::at_least(value, limit);
    if (__builtin_expect(mask == 0, 1)) return out;
    alignas(64) float values[kPanelRows];
    Ops::store(values, value);
    return append_hits(mask, values, query, panel, out);
  }
  const Float bound =
      Ops::fma(Ops::load(rows.tail + panel * kPanelRows), Ops::set1(q.tail[query]), value);
  unsigned mask = Ops::at_least(bound, limit);
  if (__builtin_expect(mask == 0, 1)) return out;
  const unsigned char* base = static_cast<const unsigned char*>(rows.data) + panel * rows.panel_bytes;
  const Float tail = finish_tail<Ops>(query_row(q, query), base, head, groups,
                                      q.tail_start != nullptr ? q.tail_start[query] : 0);
  value = Ops::fma(tail, scale, value);
  mask = Ops::at_least(value, limit);
  if (mask == 0) return out;
  alignas(64) float values[kPanelRows];
  Ops::store(values, value);
  return append_hits(mask, values, query, panel, out);
}

template <class Ops, int QB, int NP>
inline PanelHit* filter_block(const PanelQueries& q, const PanelPair& rows, int head, int groups, int first,
                              int first_panel, PanelHit* out) {
  typename Ops::Acc sums[QB * NP];
  const unsigned char* panel =
      static_cast<const unsigned char*>(rows.data) + first_panel * rows.panel_bytes;
  accumulate<Ops, QB, NP>(query_row(q, first), q.row_bytes, panel, rows.panel_bytes, head,
                          q.head_start != nullptr ? q.head_start + first : nullptr, sums);
  for (int i = 0; i < QB; ++i) {
    for (int p = 0; p < NP; ++p) {
      out = settle<Ops>(q, rows, head, groups, first + i, first_panel + p,
                        Ops::to_float(sums[i * NP + p]), out);
    }
  }
  return out;
}

template <class Ops, int QB, int NP>
std::int64_t filter_panels(const PanelQueries& q, const PanelPair& rows, int head, int groups,
                           PanelHit* out) {
  PanelHit* const begin = out;
  for (int panel = 0; panel < kPanelsPerCall; panel += NP) {
    int i = 0;
    for (; i + QB <= q.n; i += QB) out = filter_block<Ops, QB, NP>(q, rows, head, groups, i, panel, out);
    for (; i < q.n; ++i) out = filter_block<Ops, 1, NP>(q, rows, head, groups, i, panel, out);
  }
  return out - begin;
}

template <class Ops, int QB, int NP>
inline void product_block(const unsigned char* query, std::int64_t row_bytes, const unsigned char* panel,
                          std::int64_t panel_bytes, int groups, float* out, std::int64_t out_stride) {
  typename Ops::Acc sums[QB * NP];
  accumulate<Ops, QB, NP>(query, row_bytes, panel, panel_bytes, groups, nullptr, sums);
  for (int i = 0; i < QB; ++i) {
    for (int p = 0; p < NP; ++p) {
      Ops::store(out + i * out_stride + p * kPanelRows, Ops::to_float(sums[i * NP + p]));
    }
  }
}

template <class Ops, int QB, int NP>
void product_panels(const void* queries, std::int64_t row_bytes, int n, const PanelPair& rows, int groups,
                    float* out, std::int64_t out_stride) {
  const auto* query = static_cast<const unsigned char*>(queries);
  for (int p = 0; p < kPanelsPerCall; p += NP) {
    const unsigned char* panel = static_cast<const unsigned char*>(rows.data) + p * rows.panel_bytes;
    float* target = out + p * kPanelRows;
    int i = 0;
    for (; i + QB <= n; i += QB) {
      product_block<Ops, QB, NP>(query + i * row_bytes, row_bytes, panel, rows.panel_bytes, groups,
                                 target + i * out_stride, out_stride);
    }
    for (; i < n; ++i) {
      product_block<Ops, 1, NP>(query + i * row_bytes, row_bytes, panel, rows.panel_bytes, groups,
                                target + i * out_stride, out_stride);
    }
  }
}

}  // namespace
}  // namespace vl
