// SPDX-License-Identifier: Apache-2.0
#include "index/inverted_best.h"

namespace vl {

void SparseBest::tighten() {
  if (found_.size() > k_) {
    const auto kth = found_.begin() + static_cast<std::ptrdiff_t>(k_) - 1;
    if (by_upper_) {
      // Equal bounds by row, so that what is kept does not depend on the order of arrival.
      std::nth_element(found_.begin(), kth, found_.end(), [](const Found& a, const Found& b) {
        return a.upper > b.upper || (a.upper == b.upper && a.row < b.row);
      });
      cut_ = std::max(cut_, kth->upper);
      found_.resize(k_);
    } else {
      std::nth_element(found_.begin(), kth, found_.end(),
                       [](const Found& a, const Found& b) { return a.lower > b.lower; });
      cut_ = std::max(cut_, kth->lower);
      const std::int32_t cut = cut_;
      found_.erase(std::remove_if(found_.begin(), found_.end(),
                                  [cut](const Found& f) { return f.upper < cut; }),
                   found_.end());
    }
  }
  limit_ = std::max<std::size_t>(64, 2 * found_.size() + k_);
}

void SparseBest::finish(const SparseSearch& search, const DenseQuery& query, std::int64_t at,
                        const SparseAnswer& answer) {
  tighten();
  scored_.clear();
  for (std::size_t i = 0; i < found_.size(); ++i) {
    if (i + 2 < found_.size()) DenseQuery::prefetch(search.rows, found_[i + 2].row);
    const auto row = static_cast<std::int64_t>(found_[i].row);
    const double score = query.score(search.rows, row);
    scored_.push_back({score, search.ties != nullptr ? search.ties[row] : row, row});
  }
  write_best(scored_, search.k, at, answer);
}

void write_best(std::vector<Scored>& scored, std::int64_t k, std::int64_t at,
                const SparseAnswer& answer) {
  const std::int64_t count = std::min<std::int64_t>(k, static_cast<std::int64_t>(scored.size()));
  std::partial_sort(scored.begin(), scored.begin() + count, scored.end(), better);
  for (std::int64_t i = 0; i < k; ++i) {
    const bool there = i < count;
    answer.positions[at * k + i] = there ? scored[static_cast<std::size_t>(i)].row : -1;
    answer.scores[at * k + i] = there ? scored[static_cast<std::size_t>(i)].score
                                      : -std::numeric_limits<double>::infinity();
  }
  answer.counts[at] = count;
}

}  // namespace vl
