// SPDX-License-Identifier: Apache-2.0
// Block products on AMX tiles, int8 and bfloat16. A call multiplies 32 queries (two A tiles) with
// two panels (two B tiles) into four C tiles of 16 x 16 32-bit sums; one tile step covers 16
// groups, that is 64 int8 or 32 bfloat16 elements a row. A panel is already in the layout tiles
// want of B (16 groups of 64 bytes), so nothing is repacked. Sums leave through a 4 KiB buffer that
// stays in L1; bounds, tails and hits are those of tile.h on AVX-512.
//
// The including file provides the VL_TILE_* operations: amx.cc the instructions, amx_model.cc their
// definition in plain C++, so that this code is tested on hosts without tiles.
#pragma once

#include "simd/panel/ops_avx512.h"

namespace vl {
namespace {

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

constexpr TileConfig kTileConfig{};

// sums[(a * 2 + p)][16][16] = A tile a x B tile p, over `groups` groups. Tiles 0-3 hold the sums.
template <bool kInt8>
inline void tile_block(const unsigned char* query, std::int64_t row_bytes,
                       const unsigned char* panel, int groups, float* sums) {
  const std::int64_t panel_bytes = static_cast<std::int64_t>(groups) * 64;
  const unsigned char* second = query + 16 * row_bytes;
  VL_TILE_ZERO(0);
  VL_TILE_ZERO(1);
  VL_TILE_ZERO(2);
  VL_TILE_ZERO(3);
  for (int g = 0; g < groups; g += kGroupStep) {
    VL_TILE_LOAD(4, query + kGroupBytes * g, row_bytes);
    VL_TILE_LOAD(5, second + kGroupBytes * g, row_bytes);
    VL_TILE_LOAD(6, panel + 64 * g, 64);
    VL_TILE_LOAD(7, panel + panel_bytes + 64 * g, 64);
    if constexpr (kInt8) {
      VL_TILE_DPBSUD(0, 4, 6);
      VL_TILE_DPBSUD(1, 4, 7);
      VL_TILE_DPBSUD(2, 5, 6);
      VL_TILE_DPBSUD(3, 5, 7);
    } else {
      VL_TILE_DPBF16PS(0, 4, 6);
      VL_TILE_DPBF16PS(1, 4, 7);
      VL_TILE_DPBF16PS(2, 5, 6);
      VL_TILE_DPBF16PS(3, 5, 7);
    }
  }
  VL_TILE_STORE(0, sums, 64);
  VL_TILE_STORE(1, sums + 256, 64);
  VL_TILE_STORE(2, sums + 512, 64);
  VL_TILE_STORE(3, sums + 768, 64);
}

template <bool kInt8>
inline __m512 tile_dot(const float* sums, int query, int panel, std::int32_t start) {
  const float* p = sums + ((query / 16) * 2 + panel) * 256 + (query % 16) * 16;
  if constexpr (kInt8) {
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_load_si512(p), _mm512_set1_epi32(start)));
  } else {
    return _mm512_load_ps(p);
  }
}

// As complete() of tile.h: the codes of sixteen survivors are gathered into one A tile at a time.
template <class Ops, bool kInt8>
PanelHit* complete_tiles(const PanelQueries& q, const PanelPair& rows, int groups, int rest_groups,
                         Survivors& alive, PanelHit* out) {
  alignas(64) unsigned char codes[16][64];
  alignas(64) float sums[256];
  for (int panel = 0; panel < kPanelsPerCall; ++panel) {
    const unsigned char* base =
        static_cast<const unsigned char*>(rows.rest) + panel * 64 * rest_groups;
    const std::int64_t count = alive.count[panel];
    const std::int32_t* queries = alive.queries[panel];
    for (std::int64_t first = 0; first < count; first += 16) {
      VL_TILE_ZERO(0);
      for (int g = 0; g < rest_groups; g += kGroupStep) {
        for (std::int64_t i = 0; i < 16; ++i) {
          const std::int32_t query = queries[first + i < count ? first + i : count - 1];
          _mm512_store_si512(codes[i],
                             _mm512_loadu_si512(query_row(q, query) + kGroupBytes * (groups + g)));
        }
        VL_TILE_LOAD(4, codes, 64);
        VL_TILE_LOAD(6, base + 64 * g, 64);
        if constexpr (kInt8) {
          VL_TILE_DPBSUD(0, 4, 6);
        } else {
          VL_TILE_DPBF16PS(0, 4, 6);
        }
      }
      VL_TILE_STORE(0, sums, 64);
      for (std::int64_t i = 0; i < 16 && first + i < count; ++i) {
        const std::int32_t query = queries[first + i];
        const __m512 rest =
            tile_dot<kInt8>(sums, static_cast<int>(i), 0, kInt8 ? q.rest_start[query] : 0);
        const __m512 value =
            Ops::fma(Ops::mul(rest, Ops::load(rows.rest_scale + panel * kPanelRows)),
                     Ops::set1(q.rest_weight[query]),
                     Ops::load(alive.values[panel] + (first + i) * kPanelRows));
        out = settle<Ops>(q, rows, query, panel, value, out);
      }
    }
  }
  return out;
}

template <class Ops, bool kInt8>
std::int64_t filter_tiles(const PanelQueries& q, const PanelPair& rows, int groups, int rest_groups,
                          PanelHit* out) {
  PanelHit* const begin = out;
  const auto* panel = static_cast<const unsigned char*>(rows.data);
  const bool whole = rest_groups == 0;
  Survivors alive(q);
  prefetch_rest(q, rows, rest_groups);
  alignas(64) float sums[1024];
  VL_TILE_CONFIG(&kTileConfig);
  for (int first = 0; first < q.n; first += kQueryPad) {
    tile_block<kInt8>(query_row(q, first), q.row_bytes, panel, groups, sums);
    const int count = q.n - first < kQueryPad ? q.n - first : kQueryPad;
    for (int p = 0; p < kPanelsPerCall; ++p) {
      const auto dot = [&](int i) {
        return tile_dot<kInt8>(sums, i, p, kInt8 ? q.start[first + i] : 0);
      };
      if (whole) {
        for (int i = 0; i < count; ++i) {
          out = settle<Ops>(q, rows, first + i, p, scaled<Ops>(q, rows, first + i, p, dot(i)), out);
        }
      } else {
        test_heads<Ops>(q, rows, first, count, p, dot, alive);
      }
    }
  }
  if (!whole) out = complete_tiles<Ops, kInt8>(q, rows, groups, rest_groups, alive, out);
  VL_TILE_RELEASE();
  return out - begin;
}

template <class Ops>
void reach_tiles(const PanelQueries& q, const PanelPair& rows, int groups, int rest_groups,
                 const PanelRuns& runs, float* open, float* out, std::int64_t out_stride) {
  const auto* panel = static_cast<const unsigned char*>(rows.data);
  const auto* rest = static_cast<const unsigned char*>(rows.rest);
  alignas(64) float sums[1024];
  alignas(64) float more[1024];
  VL_TILE_CONFIG(&kTileConfig);
  for (int first = 0; first < q.n; first += kQueryPad) {
    const unsigned char* codes = query_row(q, first);
    tile_block<true>(codes, q.row_bytes, panel, groups, sums);
    if (rest_groups > 0) {
      tile_block<true>(codes + kGroupBytes * groups, q.row_bytes, rest, rest_groups, more);
    }
    const int count = q.n - first < kQueryPad ? q.n - first : kQueryPad;
    const bool whole = rest_groups > 0;
    for (int p = 0; p < kPanelsPerCall; ++p) {
      const ReachTerms<Ops> terms(q, rows, p, whole);
      for (int i = 0; i < count; ++i) {
        const int query = first + i;
        const __m512 dot = tile_dot<true>(sums, i, p, q.start[query]);
        const __m512 rest_dot =
            whole ? tile_dot<true>(more, i, p, q.rest_start[query]) : _mm512_setzero_ps();
        const __m512 value = reached<Ops>(q, query, terms, whole, dot, rest_dot);
        float* mine = open + query * kPanelRows;
        const __m512 best =
            fold_runs<Ops>(runs, p, value, Ops::load(mine), out + query * out_stride);
        Ops::store(mine, best);
      }
    }
  }
  VL_TILE_RELEASE();
}

// Rows of the last partial block of queries lie within the caller's padding (kQueryPad).
inline void product_tiles_bf16(const void* queries, std::int64_t row_bytes, int n,
                               const void* panels, int pairs, int groups, float* out,
                               std::int64_t out_stride) {
  const auto* query = static_cast<const unsigned char*>(queries);
  const auto* panel = static_cast<const unsigned char*>(panels);
  alignas(64) float sums[1024];
  VL_TILE_CONFIG(&kTileConfig);
  for (int pair = 0; pair < pairs; ++pair) {
    for (int first = 0; first < n; first += kQueryPad) {
      tile_block<false>(query + first * row_bytes, row_bytes, panel, groups, sums);
      const int count = n - first < kQueryPad ? n - first : kQueryPad;
      for (int i = 0; i < count; ++i) {
        for (int p = 0; p < kPanelsPerCall; ++p) {
          _mm512_storeu_ps(out + (first + i) * out_stride + p * kPanelRows,
                           tile_dot<false>(sums, i, p, 0));
        }
      }
    }
    panel += static_cast<std::int64_t>(kPanelsPerCall) * 64 * groups;
    out += kPanelsPerCall * kPanelRows;
  }
  VL_TILE_RELEASE();
}

}  // namespace
}  // namespace vl
