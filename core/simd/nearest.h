// SPDX-License-Identifier: Apache-2.0
// Rows against centroids: what clustering asks of block products. Formulas and bounds:
// core/simd/nearest/README.md.
#pragma once

#include <cstdint>

#include "simd/cpu.h"
#include "simd/panel.h"

namespace vl {

// int8 rows, row-major, `row_bytes` apart; arrays are indexed by row.
struct NearestRows {
  const std::int8_t* codes = nullptr;
  std::int64_t row_bytes = 0;           // 4 * groups
  const std::int32_t* start = nullptr;  // -128 * sum of the row's codes
  const float* weight = nullptr;        // z below
  const float* limit = nullptr;         // h below
};

// For rows chosen[0..n) and the 32 centroids of a panel pair (scale A, bias B):
//   value = A * dot + B * z;  top[i] = the largest value of row chosen[i];
// appends every (row, centroid) with value >= h[row] and returns how many. `out` must have room for
// 32 * n hits; PanelHit::query is the row. Unlike the panel kernels' group counts, `groups` may be
// any number.
using NearestScreen = std::int64_t (*)(const NearestRows& rows, const std::int32_t* chosen, int n,
                                       const PanelPair& pair, int groups, float* top,
                                       PanelHit* out);

inline constexpr int kLaneRows = 32;  // rows side by side in two lines of sixteen lanes
inline constexpr int kLaneStep = 4;   // lists of centroids are multiples of this

// For 32 rows (value d of row i at rows[d * 32 + i]) and the listed centroids (row-major, float32):
//   value = bias[c] + x . c;  per row the largest value, its centroid, and the second largest.
// Few dimensions only: rows stay in registers and centroids are broadcast. `offset` makes every
// value + offset of a real centroid positive; a value may be wrong by kLaneError * (value + offset)
// beyond the rounding of the products. Centroids that fill up lists have the bias -inf.
inline constexpr float kLaneError = 0x1p-15F;
using NearestLanes = void (*)(const float* rows, int dim, const float* centroids, const float* bias,
                              const std::int32_t* list, int n_list, float offset, float* best,
                              float* second, std::int32_t* index);

struct NearestKernels {
  SimdLevel level;
  int int8_row_max;  // largest magnitude of a row's code: 127, or 63 where pairs could saturate
  NearestScreen screen;
  NearestLanes lanes;
};

// The best kernels at or below `level`.
const NearestKernels& nearest_kernels(SimdLevel level);
inline const NearestKernels& nearest_kernels() { return nearest_kernels(active_simd_level()); }

}  // namespace vl
