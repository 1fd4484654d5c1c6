// SPDX-License-Identifier: Apache-2.0
// Search of inverted lists whose codes are table entries of product quantization, a byte a part.
//
//   value(q, x) = <q, c> + sum over parts p of <q_p, C[p][code_p(x)]>      for x in the list of c
//   cosine: value / |x'|,   l2: 2 value - |x'|^2,   ip: value,             x' = c + decoded code
//
// The `width` largest of the probed lists (lists.h) are proposed, the smaller position among
// equals. Sums are float32 in the order of the parts (simd/lookup.h): the same at every level.
// Cost: 256 dim products a query for its table, then n_parts loads a row; what is below the best so
// far goes no further.
#pragma once

#include <cstdint>

#include "base/rows.h"

namespace vl {

struct LookupLists {
  Metric metric = Metric::kIp;
  int n_parts = 0;
  std::int64_t width = 0;          // dimensions of a part
  const float* columns = nullptr;  // C (n_parts, width, 256)
  std::int64_t n_lists = 0;
  const std::uint8_t* codes = nullptr;   // (n, n_parts) in the order of lists
  const std::int64_t* starts = nullptr;  // (n_lists + 1)
  const std::int64_t* order = nullptr;   // (n) positions
  const float* squares = nullptr;        // (n) |x'|^2; unused under ip
};

struct LookupQuery {
  const float* values = nullptr;          // (n_queries, n_parts * width)
  const float* products = nullptr;        // (n_queries, n_lists) with the centroids
  const float* centre_squares = nullptr;  // (n_lists), for l2
  const float* gaps = nullptr;            // (n_queries), in the unit of nearness
  std::int64_t n_queries = 0;
  std::int64_t n_probes = 0;  // 0: by the gap
  const std::uint8_t* mask = nullptr;
  int n_jobs = 0;
};

// positions (n_queries, width), in no order, -1 where there are no more.
void propose_by_lookup(const LookupLists& lists, const LookupQuery& query, std::int64_t width,
                       std::int64_t* positions);

}  // namespace vl
