// SPDX-License-Identifier: Apache-2.0
// Block products of queries with panels of rows, with two endings: store the products, or keep only
// those that can still matter (fused top-k: a block of scores never goes to memory).
// Layout, formulas and error bounds: core/simd/panel/README.md.
#pragma once

#include <cstdint>

#include "simd/cpu.h"

namespace vl {

inline constexpr int kPanelRows = 16;     // rows side by side in one panel: one zmm of 32-bit lanes
inline constexpr int kPanelsPerCall = 2;  // kernels take panels in pairs
inline constexpr int kGroupBytes = 4;     // 1 float32, 2 bfloat16 or 4 int8 elements of one row
inline constexpr int kGroupStep = 16;  // group counts are multiples of 16: one AMX tile of 64 bytes
inline constexpr int kQueryPad = 32;   // query buffers hold a multiple of 32 rows: two AMX tiles

// A batch of queries in the element type of the kernel, row-major, `row_bytes` apart.
// Arrays are padded to kQueryPad; limits of padding queries must be +inf.
struct PanelQueries {
  const void* codes = nullptr;
  std::int64_t row_bytes = 0;
  int n = 0;
  const std::int32_t* start = nullptr;  // int8 only: -128 * sum of the codes in the (head) groups
  const std::int32_t* rest_start = nullptr;  // int8 only: the same for the groups after the head
  const float* rest_weight = nullptr;        // product over the rest counts this much; with a head
  const float* tail = nullptr;               // w in the bound below
  const float* bias = nullptr;               // z in the bound below; null when there is no bias
  const float* limit = nullptr;              // h in the bound below
  // Mutual search only, where h depends on the row as well: h = weight * min(limit, row limit) +
  // offset.
  const float* weight = nullptr;
  const float* offset = nullptr;
  // Needed with a head only. Survivors of the head wait here until a panel's are completed
  // together: room for 16 values and one number a query and panel.
  float* survivor_values = nullptr;   // 2 * 16 * (n + 1), 64-byte aligned
  std::int32_t* survivors = nullptr;  // 2 * (n + 1)
};

// Two adjacent panels. Group g of panel p's 16 rows is the 64 bytes at data + p * 64 * groups + 64
// * g. int8 rows are stored offset by 128 (uint8), as VNNI and AMX want them. With a head, `data`
// holds the head groups alone, so that a sweep over heads streams, and `rest` the groups after
// them.
struct PanelPair {
  const void* data = nullptr;
  const void* rest = nullptr;
  const float* scale = nullptr;       // A, 32 values
  const float* tail = nullptr;        // T, 32 values; with a head only
  const float* rest_scale = nullptr;  // A of the rest, 32 values; with a head only
  const float* bias = nullptr;        // B, 32 values
  const float* limit = nullptr;       // mutual search: 32 values; else null
};

struct PanelHit {
  std::uint32_t query;
  std::uint32_t row;  // 0..31 within the pair
  float value;        // A * dot + B * z over all groups
};

// Appends every (query, row) with  A*dot + B*z >= h  and returns how many; with a head, dot is
// dot_head + (A_rest / A) * rest_weight * dot_rest. When rest_groups > 0 the
// product over the first `groups` alone is tested first, as A*dot_head + T*w + B*z >= h, and only
// survivors are completed. `out` must have room for 32 * queries.n hits.
using PanelFilter = std::int64_t (*)(const PanelQueries& queries, const PanelPair& rows, int groups,
                                     int rest_groups, PanelHit* out);

// Neighbouring rows of one panel that belong to one item: bit j of `lanes` is row j.
struct PanelRun {
  std::uint32_t lanes;
  bool ends;  // the item's last rows: its maximum is written then
  std::int32_t item;
};

// The runs of both panels of a pair, in the order of rows. A row may be in none.
struct PanelRuns {
  PanelRun runs[2 * kPanelRows];
  int count[kPanelsPerCall];
};

// out[query * out_stride + item] = max over the item's rows of
//   A*dot         over all groups, completed as above, when rest_groups > 0 or without a tail;
//   A*dot + T*w   over the head alone, when rest_groups == 0 and queries.tail is given.
// Biases, limits and room for survivors are not read.
// An item may go on in the next call: `open` (n x 16, 64-byte aligned; -inf before the first call)
// keeps its maxima until its run ends.
using PanelReach = void (*)(const PanelQueries& queries, const PanelPair& rows, int groups,
                            int rest_groups, const PanelRuns& runs, float* open, float* out,
                            std::int64_t out_stride);

// out[query * out_stride + row] = dot, for the rows of `pairs` pairs of panels that follow each
// other (float32 and bfloat16 only). A product is the same whatever else is asked in the call.
using PanelProduct = void (*)(const void* queries, std::int64_t row_bytes, int n,
                              const void* panels, int pairs, int groups, float* out,
                              std::int64_t out_stride);

struct PanelKernels {
  SimdLevel level;
  int int8_query_max;  // largest magnitude a query code may have: 127, or 63 where pairs could
                       // saturate
  PanelFilter filter_int8;
  PanelFilter filter_bf16;
  PanelFilter filter_f32;
  PanelProduct product_bf16;
  PanelProduct product_f32;
  PanelReach reach_int8;
};

// The best kernels at or below `level`.
const PanelKernels& panel_kernels(SimdLevel level);
inline const PanelKernels& panel_kernels() { return panel_kernels(active_simd_level()); }

}  // namespace vl
