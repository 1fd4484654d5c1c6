// SPDX-License-Identifier: Apache-2.0
// The best rows of one query, exactly scored, best first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "index/candidates.h"
#include "index/inverted.h"

namespace vl {

// A query with its weights by term: what a row is scored against.
class DenseQuery {
 public:
  // One a thread, kept: to zero as many weights as there are terms takes longer than many a query.
  static DenseQuery& of_thread(std::int64_t n_terms) {
    static thread_local DenseQuery query;
    if (query.weights_.size() < static_cast<std::size_t>(n_terms))
      query.weights_.resize(static_cast<std::size_t>(n_terms), 0.0F);
    return query;
  }

  // To be cleared before the queries are gone.
  void set(const SparseRows& queries, std::int64_t query) {
    first_ = queries.terms + queries.starts[query];
    last_ = queries.terms + queries.starts[query + 1];
    const float* weight = queries.weights + queries.starts[query];
    for (const std::int32_t* t = first_; t != last_; ++t)
      weights_[static_cast<std::size_t>(*t)] = *weight++;
  }
  void clear() {
    for (; first_ != last_; ++first_) weights_[static_cast<std::size_t>(*first_)] = 0.0F;
  }

  // Adding the zeros of terms that only the row has changes no bit.
  double score(const SparseRows& rows, std::int64_t row) const {
    double sum = 0.0;
    const float* const weights = weights_.data();
    for (std::int64_t i = rows.starts[row]; i < rows.starts[row + 1]; ++i)
      sum += static_cast<double>(weights[rows.terms[i]]) * static_cast<double>(rows.weights[i]);
    return sum;
  }

  static void prefetch(const SparseRows& rows, std::int64_t row) {
    const std::int64_t end = rows.starts[row + 1];
    for (std::int64_t i = rows.starts[row]; i < end; i += 16) {
      __builtin_prefetch(rows.terms + i);
      __builtin_prefetch(rows.weights + i);
    }
  }

 private:
  std::vector<float> weights_;
  const std::int32_t* first_ = nullptr;
  const std::int32_t* last_ = nullptr;
};

// The rows that may be among the best, by bounds of their scores in units.
class SparseBest {
 public:
  // `most` above 0: that many rows by upper bound are kept, and nothing else is promised.
  void start(std::int64_t k, std::int64_t most) {
    k_ = static_cast<std::size_t>(most > 0 ? most : k);
    by_upper_ = most > 0;
    cut_ = 1;
    limit_ = std::max<std::size_t>(64, 3 * k_);
    found_.clear();
  }
  // Rows whose upper bound is below this need not be added.
  std::int32_t cut() const { return cut_; }
  std::int64_t wanted() const { return static_cast<std::int64_t>(k_); }
  // As many rows as are wanted have this lower bound (upper bound, where those count).
  void raise(std::int32_t cut) { cut_ = std::max(cut_, cut); }
  void add(std::int32_t lower, std::int32_t upper, std::int64_t row) {
    found_.push_back({lower, upper, static_cast<std::uint32_t>(row)});
    if (found_.size() >= limit_) tighten();
  }
  void tighten();
  void finish(const SparseSearch& search, const DenseQuery& query, std::int64_t at,
              const SparseAnswer& answer);

 private:
  struct Found {
    std::int32_t lower, upper;
    std::uint32_t row;
  };

  std::size_t k_ = 0, limit_ = 0;
  bool by_upper_ = false;
  std::int32_t cut_ = 1;
  std::vector<Found> found_;
  std::vector<Scored> scored_;
};

// The first k of rows that were all scored.
void write_best(std::vector<Scored>& scored, std::int64_t k, std::int64_t at,
                const SparseAnswer& answer);

}  // namespace vl
