// SPDX-License-Identifier: Apache-2.0
// One query against one item, to the last bit; and the k best of what was scored so.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "index/candidates.h"
#include "index/maxsim.h"
#include "index/maxsim_reach.h"
#include "index/screen_queries.h"

namespace vl {

// Scores items for one query. With a screen, int8 products of the item's rows come first: with
// estimates v_j wrong by at most E, an item whose sum of max v + E stays below what is needed is
// dropped, and otherwise only rows with v_j >= max v - 2 E are scored in float64. Not shared
// between threads.
class MaxSimScorer {
 public:
  // The screen is used while products stay far from the ends of float32.
  MaxSimScorer(const MaxSimItems& items, const float* values, std::int64_t n_vectors);

  // The score of the item; -inf where it is certainly below `least`.
  double score(std::int64_t item, double least);

 private:
  double score_all(std::int64_t first, std::int64_t last);
  double best_of(std::size_t vector, const std::vector<std::int64_t>& rows);
  void gather(std::int64_t first, std::int64_t last);
  double settle(double upper, double least);

  const MaxSimItems& items_;
  std::int64_t n_vectors_;
  std::vector<Scorer> scorers_;
  std::unique_ptr<ScreenQueries> coded_;
  std::unique_ptr<ScreenScratch> scratch_;
  std::unique_ptr<ReachScratch> reach_scratch_;
  std::vector<double> steps_;                    // of codes, in scores
  std::vector<double> slacks_;                   // E, in scores
  std::vector<float> best_;                      // (n_vectors), in steps
  std::vector<std::vector<std::int64_t>> rows_;  // of a vector, those that may hold its maximum
  std::vector<std::int64_t> all_;
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

// From a product with a row, over |row| under cosine, to the score.
double maxsim_weight(const MaxSimItems& items, const QueryTerms& terms);

}  // namespace vl
