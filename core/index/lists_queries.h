// SPDX-License-Identifier: Apache-2.0
// Queries in the terms of ListCodes: rotated, coded head and rest, and with what their bounds need.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "index/lists_codes.h"
#include "linalg/turn.h"

namespace vl {

struct ListTerms {
  double step = 1.0;       // t of the head
  double rest_step = 1.0;  // t of the rest
  double residual = 0.0;   // |u - its codes|
  double length = 0.0;     // |its codes|
  double tail = 0.0;       // |u_r|
  double square = 0.0;     // |q'|^2
  float rest_sum = 0.0F;   // of the codes of the rest
  std::int32_t start = 0;  // -128 * sum of the codes of the head
};

class ListQueries {
 public:
  // n float32 queries. A proof needs float32 rotation and measured errors of codes; otherwise the
  // rotation is that of `turn` (bfloat16 where the CPU has it: the error is below that of int8
  // codes) and errors are what rounding has on average. `keep` keeps the rotated queries.
  ListQueries(const ListCodes& codes, const Turn& turn, const float* values, std::int64_t n,
              bool proven, bool keep);

  const ListTerms& terms(std::int64_t q) const { return terms_[static_cast<std::size_t>(q)]; }
  const float* rotated(std::int64_t q) const {
    return rotated_.data() + q * codes_.shape().rotated();
  }
  const std::int8_t* head(std::int64_t q) const { return head_.data() + q * head_size_; }
  const std::int8_t* rest(std::int64_t q) const { return rest_.data() + q * rest_size_; }
  // E of screen.h for rows with these maxima, its share that comes from codes times `caution`.
  double slack(std::int64_t q, const BlockMaxima& maxima, double caution) const;

 private:
  void prepare(std::int64_t q, const float* values, const float* rotated, bool proven);

  const ListCodes& codes_;
  std::int64_t head_size_, rest_size_;
  std::vector<ListTerms> terms_;
  AlignedBuffer<std::int8_t> head_, rest_;
  std::vector<float> rotated_;  // where they are kept
  std::vector<std::uint8_t> levels_;
  std::vector<std::int8_t> digits_;
};

}  // namespace vl
