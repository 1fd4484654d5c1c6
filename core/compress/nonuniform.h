// SPDX-License-Identifier: Apache-2.0
// Scalar codes with levels at will: dimension i has 2^bits[i] levels of its own, and its code is
// the number of its thresholds below the value. A row is one stream of bits, low bits first.
#pragma once

#include <cstdint>
#include <vector>

namespace vl {

// Where each dimension's thresholds, levels and bits start, worked out once a call. 0 bits: the
// dimension is not stored and decodes to its single level. At most 8 bits.
class LevelLayout {
 public:
  LevelLayout(const std::uint8_t* bits, std::int64_t dim);

  std::int64_t dim() const { return static_cast<std::int64_t>(bits_.size()); }
  int bits(std::int64_t i) const { return bits_[static_cast<std::size_t>(i)]; }
  std::int64_t threshold(std::int64_t i) const { return level(i) - i; }  // one fewer a dimension
  std::int64_t level(std::int64_t i) const { return level_[static_cast<std::size_t>(i)]; }
  std::int64_t n_thresholds() const { return n_levels() - dim(); }
  std::int64_t n_levels() const { return level_.back(); }
  std::int64_t row_bytes() const { return (total_bits_ + 7) / 8; }

 private:
  std::vector<std::uint8_t> bits_;
  std::vector<std::int64_t> level_;
  std::int64_t total_bits_ = 0;
};

// x (n, dim), thresholds rising within each dimension; out (n, row_bytes).
void encode_levels(const LevelLayout& layout, const float* thresholds, const float* x,
                   std::int64_t n, std::uint8_t* out, int n_jobs);
// out (n, dim) = the levels that the codes name.
void decode_levels(const LevelLayout& layout, const float* levels, const std::uint8_t* codes,
                   std::int64_t n, float* out, int n_jobs);

}  // namespace vl
