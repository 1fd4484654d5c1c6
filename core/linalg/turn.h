// SPDX-License-Identifier: Apache-2.0
// A linear map of rows, block by block, for what is coded coarsely right after:
//   y = M (x - o) + M o
// Where the CPU multiplies bfloat16 natively, M and x - o are rounded to bfloat16 and products are
// added in float32: twice the rate of float32. |error of y_j| <= 2^-7.9 |M_j| |x - o|, its standard
// deviation is about 2^-9 |M_j| |x - o| / sqrt(dim). With the origin o amid the rows that is far
// below the error of any code of few bits. Other CPUs use float32 throughout.
//
// Cost: m dim multiply-adds a row; M, packed, is read once for each kTurnRows rows and should fit
// into the second-level cache.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"

namespace vl {

inline constexpr int kTurnRows = 64;

class Turn {
 public:
  // Room of one thread.
  struct Scratch {
    AlignedBuffer<std::uint32_t> rows;
    AlignedBuffer<float> out;  // kTurnRows rows, stride() apart
  };

  // matrix: (m, dim), row-major; origin: (dim,).
  Turn(const float* matrix, std::int64_t m, std::int64_t dim, const float* origin);

  std::int64_t stride() const { return padded_m_; }
  Scratch scratch() const;
  // y of n <= kTurnRows rows, or its first `wanted` elements at least, into scratch.out. A row's y
  // depends on that row alone.
  void apply(const float* x, int n, Scratch& scratch) const { apply(x, n, padded_m_, scratch); }
  void apply(const float* x, int n, std::int64_t wanted, Scratch& scratch) const;

 private:
  std::uint32_t group_of(const float* row, const float* origin, std::int64_t group) const;

  std::int64_t dim_, padded_m_;
  int groups_;
  bool narrow_;
  AlignedBuffer<std::uint32_t> panels_;
  std::vector<float> origin_, offset_;  // o; M o
};

}  // namespace vl
