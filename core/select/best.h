// SPDX-License-Identifier: Apache-2.0
// The k largest of a row of scores, best first; among equal ones the smaller tie comes first, and
// without ties the smaller position. NaN is never among them.
//
// One pass: places are gathered while they are not below a floor, and whenever 2 k + 64 are there
// all but the best k go and the floor rises to the k-th. Of n scores in random order about
// k ln(n / k) rise above it, so that nearly all are passed over sixteen at a time, by one maximum.
// Cost: 4 bytes read a score.
#pragma once

#include <cstdint>
#include <vector>

namespace vl {

class BestOf {
 public:
  struct Place {
    float score;
    std::int64_t tie, at;
  };

  // mask: 1 where a position may be chosen; null: all. ties: null, or one a position.
  // Valid until the next call.
  const std::vector<Place>& choose(const float* scores, std::int64_t n, std::int64_t k,
                                   const std::uint8_t* mask, const std::int64_t* ties);

 private:
  void keep(std::int64_t k);

  std::vector<Place> places_;
  float floor_ = 0.0F;
};

}  // namespace vl
