// SPDX-License-Identifier: Apache-2.0
#include "index/lists_probes.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace vl {

Probes::Probes(std::int64_t n_queries, std::int64_t n_lists)
    : n_lists_(n_lists),
      words_((n_lists + 63) / 64),
      probed_(static_cast<std::size_t>(n_queries * words_), 0) {
  starts_.reserve(static_cast<std::size_t>(n_queries) + 1);
}

float Probes::reference(const float* nearness) {
  // The largest few, ascending, and where the very largest is.
  const int few = static_cast<int>(std::min<std::int64_t>(kReference, n_lists_));
  float best[kReference];
  std::fill_n(best, kReference, -std::numeric_limits<float>::infinity());
  nearest_ = 0;
  for (std::int64_t j = 0; j < n_lists_; ++j) {
    if (nearness[j] <= best[0]) continue;
    int at = 0;
    for (; at + 1 < few && nearness[j] > best[at + 1]; ++at) best[at] = best[at + 1];
    best[at] = nearness[j];
    if (at == few - 1) nearest_ = j;
  }
  float sum = 0.0F;
  for (int i = 0; i < few; ++i) sum += best[i];
  return sum / static_cast<float>(few);
}

void Probes::add(const float* nearness, std::int64_t n_probes, float least) {
  if (n_probes > 0) {
    copy_.assign(nearness, nearness + n_lists_);
    const auto at = copy_.begin() + (std::min(n_probes, n_lists_) - 1);
    std::nth_element(copy_.begin(), at, copy_.end(), std::greater<>());
    least = *at;
  }
  least = std::min(least, nearness[nearest_]);  // the nearest list always is
  // Without branches: nearly no list is probed, and which ones nothing foretells.
  const auto begin = static_cast<std::size_t>(starts_.back());
  lists_.resize(begin + static_cast<std::size_t>(n_lists_));
  std::int32_t* to = lists_.data() + begin;
  std::int64_t n = 0;
  for (std::int64_t j = 0; j < n_lists_; ++j) {
    to[n] = static_cast<std::int32_t>(j);
    n += nearness[j] >= least ? 1 : 0;
  }
  lists_.resize(begin + static_cast<std::size_t>(n));
  const auto row = (starts_.size() - 1) * static_cast<std::size_t>(words_);
  for (std::int64_t i = 0; i < n; ++i)
    probed_[row + static_cast<std::size_t>(to[i] / 64)] |= std::uint64_t{1} << (to[i] % 64);
  starts_.push_back(static_cast<std::int64_t>(lists_.size()));
}

void Probes::sort() {
  ends_.assign(static_cast<std::size_t>(n_lists_) + 1, 0);
  for (const std::int32_t list : lists_) ++ends_[static_cast<std::size_t>(list) + 1];
  for (std::size_t i = 0; i + 1 < ends_.size(); ++i) ends_[i + 1] += ends_[i];
  members_.resize(lists_.size());
  for (std::size_t q = 0; q + 1 < starts_.size(); ++q) {
    for (std::int64_t i = starts_[q]; i < starts_[q + 1]; ++i) {
      const auto list = static_cast<std::size_t>(lists_[static_cast<std::size_t>(i)]);
      members_[static_cast<std::size_t>(ends_[list]++)] = static_cast<std::int64_t>(q);
    }
  }
}

}  // namespace vl
