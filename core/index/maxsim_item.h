// SPDX-License-Identifier: Apache-2.0
// One query against one item, to the last bit; and the k best of what was scored so.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "index/candidates.h"
#include "index/maxsim.h"
#include "index/screen_queries.h"

namespace vl {

// Scores items for one query. With a screen, int8 products of the item's rows say which row can
// hold the maximum of a query vector: with estimates v_j wrong by at most E, only rows with
// v_j >= max v - 2 E are scored in float64, and an item whose sum of max v + E stays below what is
// needed is dropped before that. Not shared between threads.
class MaxSimScorer {
 public:
  // The screen is used while products stay far from the ends of float32.
  MaxSimScorer(const MaxSimItems& items, const float* values, std::int64_t n_vectors);

  // The score of the item; -inf where it is certainly below `least`.
  double score(std::int64_t item, double least);

 private:
  double score_all(std::int64_t item);
  void estimate(std::int64_t first, std::int64_t last);
  double settle(std::int64_t first, std::int64_t last, double upper, double least);

  const MaxSimItems& items_;
  std::int64_t n_vectors_;
  std::vector<Scorer> scorers_;
  std::unique_ptr<ScreenQueries> coded_;
  std::unique_ptr<ScreenScratch> scratch_;
  std::vector<double> weights_;  // value to score: 1 / |q| under cosine
  std::vector<double> slacks_;   // E
  std::vector<float> values_;    // (n_vectors, rows of the item)
  std::vector<float> best_;      // (n_vectors)
  std::vector<std::int64_t> rows_;
  std::vector<double> exact_;
};

// The k best so far, worst at the top of a heap.
class BestItems {
 public:
  explicit BestItems(std::int64_t k) : k_(k) {}
  // What an item must reach to matter.
  double least() const {
    const bool full = static_cast<std::int64_t>(heap_.size()) >= k_;
    return full && k_ > 0 ? heap_.front().score : -std::numeric_limits<double>::infinity();
  }
  void offer(const Scored& item);
  void write(std::int64_t q, const MaxSimAnswer& answer);

 private:
  std::int64_t k_;
  std::vector<Scored> heap_;
};

// False where squares could leave float32: such rows or queries are scored in float64 alone.
bool maxsim_screened(const MaxSimItems& items, const float* values, std::int64_t n_vectors);

}  // namespace vl
