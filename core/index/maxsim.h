// SPDX-License-Identifier: Apache-2.0
// Late interaction: items are runs of rows, and with query vectors q_1 .. q_m
//   score(item) = sum_i max_j s(q_i, x_j),   j over the item's rows,
// where s is the score of one row in float64 (scoring.h). The k best items, exactly: no item that
// could be among them is left out, whatever the Screen's int8 products say.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/rows.h"
#include "index/scoring.h"
#include "index/screen.h"

namespace vl {

struct MaxSimItems {
  Rows rows;
  const double* norms = nullptr;          // of the rows
  const Screen* screen = nullptr;         // of the rows; null: every item is scored in float64
  Metric metric = Metric::kIp;            // cosine or ip
  const std::int64_t* offsets = nullptr;  // (n + 1), ascending: item d is rows [d, d + 1)
  std::int64_t n = 0;
  const std::int64_t* ties = nullptr;  // null = item number
  const std::uint8_t* mask = nullptr;  // 1 = may be returned; null = all
};

struct MaxSimQueries {
  const float* values = nullptr;          // (offsets[n], dim)
  const std::int64_t* offsets = nullptr;  // (n + 1), ascending
  std::int64_t n = 0;
};

// positions (n_queries, k) padded with -1, scores (n_queries, k) padded with -inf, counts.
struct MaxSimAnswer {
  std::int64_t* positions;
  double* scores;
  std::int64_t* counts;
};

void maxsim_search(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t k,
                   int n_jobs, const MaxSimAnswer& answer);

// The k best by int8 products alone, in one sweep over all dimensions. A score is wrong by at most
//   E = sum_i E_i,   E_i the error bound of the Screen for query vector i (screen.h),
// so that an item whose true score is 2 E below the k-th best never comes in its place. Without a
// screen that can be used: the exact search.
void maxsim_estimate(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t k,
                     int n_jobs, const MaxSimAnswer& answer);

// The same as maxsim_search among the items candidates[limits[q]] .. candidates[limits[q + 1]] of
// each query.
void maxsim_rerank(const MaxSimItems& items, const MaxSimQueries& queries,
                   const std::int64_t* candidates, const std::int64_t* limits, std::int64_t k,
                   int n_jobs, const MaxSimAnswer& answer);

// Begins to read the vectors and codes of items that are to be scored soon, where they lie in a
// file and are not in memory; returns before they are.
void maxsim_will_need(const MaxSimItems& items, const std::int64_t* candidates, std::int64_t n);

}  // namespace vl
