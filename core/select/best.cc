// SPDX-License-Identifier: Apache-2.0
#include "select/best.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace vl {
namespace {

constexpr std::int64_t kGroup = 16;

bool before(const BestOf::Place& a, const BestOf::Place& b) {
  return a.score > b.score || (a.score == b.score && a.tie < b.tie);
}

// Four running maxima, which the compiler keeps in one register; NaN never enters them.
float largest_of(const float* scores) {
  constexpr int kLanes = 4;
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  float most[kLanes] = {kLeast, kLeast, kLeast, kLeast};
  for (std::int64_t i = 0; i < kGroup; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) most[j] = scores[i + j] > most[j] ? scores[i + j] : most[j];
  }
  return std::max(std::max(most[0], most[1]), std::max(most[2], most[3]));
}

}  // namespace

void BestOf::keep(std::int64_t k) {
  const auto kth = places_.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(places_.begin(), kth, places_.end(), before);
  floor_ = kth->score;
  places_.resize(static_cast<std::size_t>(k));
}

const std::vector<BestOf::Place>& BestOf::choose(const float* scores, std::int64_t n,
                                                 std::int64_t k, const std::uint8_t* mask,
                                                 const std::int64_t* ties) {
  places_.clear();
  floor_ = -std::numeric_limits<float>::infinity();
  const auto wanted = static_cast<std::size_t>(k);
  const std::size_t most = 2 * wanted + 64;
  for (std::int64_t first = 0; k > 0 && first < n; first += kGroup) {
    const std::int64_t last = std::min(n, first + kGroup);
    if (last - first == kGroup && largest_of(scores + first) < floor_) continue;
    for (std::int64_t at = first; at < last; ++at) {
      if (!(scores[at] >= floor_) || (mask != nullptr && mask[at] == 0)) continue;
      places_.push_back({scores[at], ties != nullptr ? ties[at] : at, at});
      if (places_.size() == most) keep(k);
    }
  }
  if (places_.size() > wanted) keep(k);
  std::sort(places_.begin(), places_.end(), before);
  return places_;
}

}  // namespace vl
