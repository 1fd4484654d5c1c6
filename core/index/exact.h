// SPDX-License-Identifier: Apache-2.0
// Exact search: the true k best (or all within a range) of stored rows, ties by tie key.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rows.h"
#include "index/candidates.h"
#include "index/screen.h"

namespace vl {

// Beyond this, squares leave the range of float32; such rows are scored in float64 only.
inline constexpr double kFastNorm = 1e15;

struct ExactQuery {
  Rows rows;
  const double* norms = nullptr;   // of the rows; needed for cosine, ip and l2
  const Screen* screen = nullptr;  // optional
  Metric metric = Metric::kCosine;
  const void* queries = nullptr;  // float32 (n_queries, dim), or packed bits
  std::int64_t n_queries = 0;
  const std::uint8_t* mask = nullptr;     // 1 = may be returned; null = all
  const std::int64_t* ties = nullptr;     // null = row number
  const std::int64_t* exclude = nullptr;  // per query a row never returned (-1: none); null = none
  int n_jobs = 0;
  double largest_norm = -1.0;  // of the rows; found by the search when negative
};

// positions (n_queries, k) padded with -1, scores (n_queries, k) padded with -inf, counts
// (n_queries).
void exact_search(const ExactQuery& query, std::int64_t k, std::int64_t* positions, double* scores,
                  std::int64_t* counts);

struct RangeResult {
  std::vector<std::int64_t> limits;
  std::vector<std::int64_t> positions;
  std::vector<double> scores;
};

// The answers of queries, one behind the other.
RangeResult joined(const std::vector<std::vector<Scored>>& found);

// Rows whose score is at least least[q], best first.
RangeResult exact_range(const ExactQuery& query, const double* least);

// The k nearest other rows of every row. Scores are float32 to keep a graph of many rows small.
void exact_knn_graph(const Rows& rows, const double* norms, const Screen* screen, Metric metric,
                     std::int64_t k, int n_jobs, std::int64_t* positions, float* scores);

}  // namespace vl
