// SPDX-License-Identifier: Apache-2.0
#include "index/candidates.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace vl {
namespace {

// Room for float64 rounding when an exact score is turned into a value; far above 2^-53 * a few
// steps.
constexpr double kFloat64Slack = 1e-12;
constexpr std::size_t kSettle = 256;  // pending values beyond 4 k that force exact scores

}  // namespace

void Candidates::start_top(std::int64_t k, const std::int64_t* ties, const ValueScale& scale,
                           std::size_t room) {
  k_ = k;
  room_ = room;
  range_ = false;
  ties_ = ties;
  scale_ = scale;
  scale_.relative += 0x1p-23;  // values are kept as float32
  threshold_ = -std::numeric_limits<double>::infinity();
  capacity_ = static_cast<std::size_t>(k) + room_;
  pending_.clear();
  best_.clear();
}

void Candidates::start_range(double least, const std::int64_t* ties, const ValueScale& scale) {
  start_top(4096, ties, scale);
  range_ = true;
  least_ = least;
  const double value = least * scale.multiply + scale.add;
  threshold_ = value - kFloat64Slack * (std::abs(least * scale.multiply) + std::abs(scale.add));
}

// Exact scores cost a cache miss a row, so they wait for the end, when the threshold has done its
// work; only values that bounds cannot tell apart (many equal rows, say) are settled before they
// fill memory.
bool Candidates::tighten() {
  if (!range_) prune();
  const auto k = static_cast<std::size_t>(k_);
  capacity_ = std::max(2 * pending_.size(), k + room_);
  return pending_.size() > 4 * k + kSettle;
}

// Raises the threshold to the lower bound of the k-th best pending value and drops what is below.
void Candidates::prune() {
  if (static_cast<std::int64_t>(pending_.size()) < k_) return;
  const auto kth = pending_.begin() + (k_ - 1);
  std::nth_element(pending_.begin(), kth, pending_.end(),
                   [](const Pending& a, const Pending& b) { return a.value > b.value; });
  threshold_ = std::max(threshold_, lower(kth->value));
  std::erase_if(pending_, [this](const Pending& p) { return upper(p.value) < threshold_; });
}

void Candidates::add_exact(const std::int64_t* rows, std::int64_t n, const Scorer& scorer) {
  constexpr std::int64_t kChunk = 1024;
  double scores[kChunk];
  for (std::int64_t first = 0; first < n; first += kChunk) {
    poll_interrupt();
    const std::int64_t count = std::min(kChunk, n - first);
    scorer.score(rows + first, count, scores);
    for (std::int64_t i = 0; i < count; ++i) {
      if (range_ && !(scores[i] >= least_)) continue;
      const std::int64_t row = rows[first + i];
      best_.push_back({scores[i], ties_ != nullptr ? ties_[row] : row, row});
    }
    keep_best();
  }
}

// Cuts best_ to the k best, whose last one raises the threshold.
void Candidates::keep_best() {
  if (range_ || static_cast<std::int64_t>(best_.size()) < k_) return;
  std::nth_element(best_.begin(), best_.begin() + (k_ - 1), best_.end(), better);
  best_.resize(static_cast<std::size_t>(k_));
  const double kth = best_.back().score * scale_.multiply;
  const double value = kth + scale_.add;
  threshold_ = std::max(threshold_, value - kFloat64Slack * (std::abs(kth) + std::abs(scale_.add)));
}

void Candidates::settle(const Scorer& scorer) {
  std::vector<std::int64_t> rows(pending_.size());
  std::transform(pending_.begin(), pending_.end(), rows.begin(),
                 [](const Pending& p) { return static_cast<std::int64_t>(p.row); });
  pending_.clear();
  add_exact(rows.data(), static_cast<std::int64_t>(rows.size()), scorer);
  capacity_ = static_cast<std::size_t>(k_) + room_;
}

void Candidates::absorb(Candidates& other) {
  threshold_ = std::max(threshold_, other.threshold_);
  scale_.absolute = std::max(scale_.absolute, other.scale_.absolute);
  scale_.relative = std::max(scale_.relative, other.scale_.relative);
  pending_.insert(pending_.end(), other.pending_.begin(), other.pending_.end());
  best_.insert(best_.end(), other.best_.begin(), other.best_.end());
  other.pending_.clear();
  other.best_.clear();
}

void Candidates::narrow() {
  if (range_) return;
  prune();
  std::erase_if(pending_, [this](const Pending& p) { return upper(p.value) < threshold_; });
}

void Candidates::drain(std::vector<std::int64_t>& rows) {
  narrow();
  rows.clear();
  for (const Pending& p : pending_) rows.push_back(static_cast<std::int64_t>(p.row));
  pending_.clear();
}

std::vector<Scored>& Candidates::finish(const Scorer& scorer) {
  narrow();
  settle(scorer);
  std::sort(best_.begin(), best_.end(), better);
  if (!range_ && static_cast<std::int64_t>(best_.size()) > k_)
    best_.resize(static_cast<std::size_t>(k_));
  return best_;
}

}  // namespace vl
