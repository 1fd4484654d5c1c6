// SPDX-License-Identifier: Apache-2.0
#include "index/maxsim_item.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

double maxsim_weight(const MaxSimItems& items, const QueryTerms& terms) {
  return items.metric == Metric::kCosine ? 1.0 / std::sqrt(terms.square) : 1.0;
}

MaxSimScorer::MaxSimScorer(const MaxSimItems& items, const float* values, std::int64_t n_vectors)
    : items_(items), n_vectors_(n_vectors) {
  scorers_.reserve(static_cast<std::size_t>(n_vectors));
  for (std::int64_t i = 0; i < n_vectors; ++i) {
    scorers_.emplace_back(items.rows, items.norms, items.metric, values + i * items.rows.dim);
  }
  rows_.resize(static_cast<std::size_t>(n_vectors));
  if (!maxsim_screened(items, values, n_vectors)) return;
  coded_ = std::make_unique<ScreenQueries>(*items.screen, values, n_vectors, 1);
  scratch_ = std::make_unique<ScreenScratch>(static_cast<int>(n_vectors));
  reach_scratch_ = std::make_unique<ReachScratch>(n_vectors);
  for (std::int64_t i = 0; i < n_vectors; ++i) {
    const double weight = maxsim_weight(items, coded_->terms(i));
    steps_.push_back(coded_->terms(i).step * weight);
    slacks_.push_back(coded_->slack(i) * weight);
  }
  best_.resize(static_cast<std::size_t>(n_vectors));
}

double MaxSimScorer::score(std::int64_t item, double least) {
  const std::int64_t first = items_.offsets[item];
  const std::int64_t last = items_.offsets[item + 1];
  if (coded_ == nullptr) return score_all(first, last);
  find_reach(items_, *coded_, n_vectors_, item, item + 1, Reach::kEstimate, *reach_scratch_,
             best_.data());
  double upper = 0.0;
  for (std::size_t i = 0; i < best_.size(); ++i) upper += steps_[i] * best_[i] + slacks_[i];
  if (upper < least) return -std::numeric_limits<double>::infinity();
  gather(first, last);
  return settle(upper, least);
}

double MaxSimScorer::best_of(std::size_t vector, const std::vector<std::int64_t>& rows) {
  exact_.resize(rows.size());
  scorers_[vector].score(rows.data(), static_cast<std::int64_t>(rows.size()), exact_.data());
  return *std::max_element(exact_.begin(), exact_.end());
}

double MaxSimScorer::score_all(std::int64_t first, std::int64_t last) {
  std::vector<std::int64_t>& rows = all_;
  rows.resize(static_cast<std::size_t>(last - first));
  std::iota(rows.begin(), rows.end(), first);
  double sum = 0.0;
  for (std::size_t i = 0; i < scorers_.size(); ++i) sum += best_of(i, rows);
  return sum;
}

// rows_: what the screen passes on at max v - 2 E. The best row is among it: its own bound is at
// least its score - E, which is at least max v - 2 E.
void MaxSimScorer::gather(std::int64_t first, std::int64_t last) {
  const ScreenShape& shape = items_.screen->shape();
  for (std::size_t i = 0; i < best_.size(); ++i) {
    rows_[i].clear();
    scratch_->limits[i] = static_cast<float>(best_[i] - 2.0 * slacks_[i] / steps_[i]);
  }
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
      const std::int64_t mine = row + hit.row;
      if (mine >= first && mine < last) rows_[hit.query].push_back(mine);
    }
  }
}

double MaxSimScorer::settle(double upper, double least) {
  double sum = 0.0;
  for (std::size_t i = 0; i < best_.size(); ++i) {
    const double best = best_of(i, rows_[i]);
    sum += best;
    upper += best - (steps_[i] * best_[i] + slacks_[i]);
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
