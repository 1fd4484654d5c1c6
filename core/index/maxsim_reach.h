// SPDX-License-Identifier: Apache-2.0
// What items reach on query vectors, by int8 products.
#pragma once

#include <cstdint>

#include "base/aligned.h"
#include "index/maxsim.h"
#include "index/screen_queries.h"

namespace vl {

// Of the heads alone, an upper bound but for the slack; or of all dimensions, an estimate that is
// wrong by at most the slack (screen.h). Both in steps of the query's codes.
enum class Reach { kBound, kEstimate };

// Room for the maxima of items that a call leaves open.
class ReachScratch {
 public:
  explicit ReachScratch(std::int64_t n_vectors);
  float* open() { return open_.data(); }

 private:
  AlignedBuffer<float> open_;
};

// best (n_vectors, last - first): the highest of each item's rows on each of the coded vectors,
// -inf for items that may not be returned.
void find_reach(const MaxSimItems& items, const ScreenQueries& coded, std::int64_t n_vectors,
                std::int64_t first, std::int64_t last, Reach kind, ReachScratch& scratch,
                float* best);

inline bool admitted(const MaxSimItems& items, std::int64_t item) {
  return items.mask == nullptr || items.mask[item] != 0;
}

}  // namespace vl
