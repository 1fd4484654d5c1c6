// SPDX-License-Identifier: Apache-2.0
// The k best rows of a scan over codes of levels, for queries as they come.
//
//   cosine, ip:  <q, x>          l2:  min(0, 2 <q, x> - |x|^2 - |q|^2)
//
// by the scores of levels.h, with their error bound; equal ones in the order of `ties` (or
// positions). Few queries are scored against all rows one after the other, many at a time against
// blocks of rows: the scores are the same, at any thread count. Cost: n * row_bytes read, 4 n bytes
// written a query; where l2 is asked for without norms each row is decoded, ten times that.
#pragma once

#include <cstdint>

#include "base/rows.h"
#include "compress/levels.h"

namespace vl {

struct LevelScan {
  const LevelCodec* codec = nullptr;
  const std::uint8_t* codes = nullptr;  // (n, codec->row_bytes())
  std::int64_t n = 0;
  // cosine: queries are scaled to length 1, and rows are taken to be of that length.
  Metric metric = Metric::kIp;
  const float* norms = nullptr;        // |x|^2 of each decoded row: for l2; null: found each time
  const std::int64_t* ties = nullptr;  // null: positions
};

// positions and scores (n_queries, k), counts (n_queries); 1 <= k <= n.
void search_levels(const LevelScan& scan, const float* queries, std::int64_t n_queries,
                   std::int64_t k, std::int64_t* positions, double* scores, std::int64_t* counts,
                   int n_jobs);

}  // namespace vl
