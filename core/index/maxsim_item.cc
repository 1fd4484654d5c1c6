// SPDX-License-Identifier: Apache-2.0
#include "index/maxsim_item.h"

#include <algorithm>
#include <cmath>

#include "index/exact.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kPairRows = 2 * kPanelRows;

}  // namespace

bool maxsim_screened(const MaxSimItems& items, const float* values, std::int64_t n_vectors) {
  if (items.screen == nullptr || !(items.screen->shape().largest_norm < kFastNorm)) return false;
  for (std::int64_t i = 0; i < n_vectors; ++i) {
    if (!(vector_norm(values + i * items.rows.dim, items.rows.dim) < kFastNorm)) return false;
  }
  return true;
}

MaxSimScorer::MaxSimScorer(const MaxSimItems& items, const float* values, std::int64_t n_vectors)
    : items_(items), n_vectors_(n_vectors) {
  scorers_.reserve(static_cast<std::size_t>(n_vectors));
  for (std::int64_t i = 0; i < n_vectors; ++i) {
    scorers_.emplace_back(items.rows, items.norms, items.metric, values + i * items.rows.dim);
  }
  if (!maxsim_screened(items, values, n_vectors)) return;
  coded_ = std::make_unique<ScreenQueries>(*items.screen, values, n_vectors, 1);
  scratch_ = std::make_unique<ScreenScratch>(static_cast<int>(n_vectors));
  std::fill_n(scratch_->limits.begin(), n_vectors, -std::numeric_limits<float>::infinity());
  for (std::int64_t i = 0; i < n_vectors; ++i) {
    const double length = std::sqrt(coded_->terms(i).square);
    weights_.push_back(items.metric == Metric::kCosine ? 1.0 / length : 1.0);
    slacks_.push_back(coded_->slack(i));
  }
  best_.resize(static_cast<std::size_t>(n_vectors));
}

double MaxSimScorer::score(std::int64_t item, double least) {
  if (coded_ == nullptr) return score_all(item);
  const std::int64_t first = items_.offsets[item];
  const std::int64_t last = items_.offsets[item + 1];
  estimate(first, last);
  double upper = 0.0;
  for (std::int64_t i = 0; i < n_vectors_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    upper += weights_[at] * (best_[at] + slacks_[at]);
  }
  if (upper < least) return -std::numeric_limits<double>::infinity();
  return settle(first, last, upper, least);
}

double MaxSimScorer::score_all(std::int64_t item) {
  const std::int64_t first = items_.offsets[item];
  const std::int64_t n = items_.offsets[item + 1] - first;
  rows_.resize(static_cast<std::size_t>(n));
  exact_.resize(static_cast<std::size_t>(n));
  for (std::int64_t j = 0; j < n; ++j) rows_[static_cast<std::size_t>(j)] = first + j;
  double sum = 0.0;
  for (const Scorer& scorer : scorers_) {
    scorer.score(rows_.data(), n, exact_.data());
    sum += *std::max_element(exact_.begin(), exact_.end());
  }
  return sum;
}

// values_ and best_ of the rows [first, last), in the units of scores times |q| under cosine.
void MaxSimScorer::estimate(std::int64_t first, std::int64_t last) {
  const ScreenShape& shape = items_.screen->shape();
  const std::int64_t n = last - first;
  values_.resize(static_cast<std::size_t>(n_vectors_ * n));
  PanelQueries queries = coded_->panel_queries(0, static_cast<int>(n_vectors_));
  queries.limit = scratch_->limits.data();
  queries.survivor_values = scratch_->survivor_values.data();
  queries.survivors = scratch_->survivors.data();
  const PanelFilter filter = panel_kernels().filter_int8;
  for (std::int64_t row = first / kPairRows * kPairRows; row < last; row += kPairRows) {
    const std::int64_t n_hits = filter(queries, coded_->panel_pair(row), shape.head_groups,
                                       shape.groups - shape.head_groups, scratch_->hits.data());
    for (std::int64_t h = 0; h < n_hits; ++h) {
      const PanelHit& hit = scratch_->hits[static_cast<std::size_t>(h)];
      const std::int64_t j = row + hit.row - first;
      if (j < 0 || j >= n) continue;
      values_[static_cast<std::size_t>(static_cast<std::int64_t>(hit.query) * n + j)] = hit.value;
    }
  }
  for (std::int64_t i = 0; i < n_vectors_; ++i) {
    float* mine = values_.data() + i * n;
    const auto step = static_cast<float>(coded_->terms(i).step);
    float best = -std::numeric_limits<float>::infinity();
    for (std::int64_t j = 0; j < n; ++j) {
      mine[j] *= step;  // one more rounding, which the slack's 2^-20 covers
      best = std::max(best, mine[j]);
    }
    best_[static_cast<std::size_t>(i)] = best;
  }
}

double MaxSimScorer::settle(std::int64_t first, std::int64_t last, double upper, double least) {
  const std::int64_t n = last - first;
  double sum = 0.0;
  for (std::int64_t i = 0; i < n_vectors_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const float* mine = values_.data() + i * n;
    const double low = static_cast<double>(best_[at]) - 2.0 * slacks_[at];
    rows_.clear();
    for (std::int64_t j = 0; j < n; ++j) {
      if (mine[j] >= low) rows_.push_back(first + j);
    }
    exact_.resize(rows_.size());
    scorers_[at].score(rows_.data(), static_cast<std::int64_t>(rows_.size()), exact_.data());
    const double best = *std::max_element(exact_.begin(), exact_.end());
    sum += best;
    upper += best - weights_[at] * (best_[at] + slacks_[at]);
    // `upper` gathers a rounding or two a vector; an item this near to `least` is scored to the
    // end.
    if (upper + 1e-9 * (std::abs(upper) + std::abs(least)) < least) {
      return -std::numeric_limits<double>::infinity();
    }
  }
  return sum;
}

void BestItems::offer(const Scored& item) {
  if (k_ == 0 || item.score == -std::numeric_limits<double>::infinity()) return;
  if (static_cast<std::int64_t>(heap_.size()) == k_) {
    if (!better(item, heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end(), better);
    heap_.pop_back();
  }
  heap_.push_back(item);
  std::push_heap(heap_.begin(), heap_.end(), better);
}

void BestItems::write(std::int64_t q, const MaxSimAnswer& answer) {
  std::sort_heap(heap_.begin(), heap_.end(), better);
  answer.counts[q] = static_cast<std::int64_t>(heap_.size());
  for (std::int64_t i = 0; i < k_; ++i) {
    const bool found = i < answer.counts[q];
    const auto at = static_cast<std::size_t>(i);
    answer.positions[q * k_ + i] = found ? heap_[at].row : -1;
    answer.scores[q * k_ + i] = found ? heap_[at].score : -std::numeric_limits<double>::infinity();
  }
}

}  // namespace vl
