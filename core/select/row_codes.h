// SPDX-License-Identifier: Apache-2.0
// int8 copies of rows and of centroids for screening, with bounds on what was lost.
//
// With a centre m and a power of two `unit`, x' = unit (x - m) and c' = unit (c - m), a row is
// x' ~ s code, a centroid c' ~ t code_c, and the larger
//   v(x, c) = x'.c' - |c'|^2 / 2,      unit^2 |x - c|^2 = |x'|^2 - 2 v(x, c),
// the nearer is c. The estimate s t (code . code_c) - |c'|^2 / 2 is wrong by at most
//   |x' - s code| |c'| + |s code| |c' - t code_c| + rounding (|x'| + |c'|)^2,
// by Cauchy and Schwarz, where `rounding` covers float32 arithmetic (x - m is rounded once, so its
// error is relative to |x'|, however far the centre is).
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "select/nearest.h"

namespace vl {

// Rows this long after scaling (in units of a typical row), and NaN, are never screened.
inline constexpr float kWildNorm = 1e12F;

struct CodeSpace {
  std::vector<float> center;  // m
  float unit = 1.0F;
  double rounding = 0.0;
  int groups = 0;  // four dimensions each
};

// A centre and a unit that suit these rows, found from a sample of them.
CodeSpace code_space(const FloatRows& rows);

class RowCodes {
 public:
  RowCodes(const FloatRows& rows, const CodeSpace& space, int top, int n_threads);

  const std::int8_t* codes(std::int64_t r) const { return codes_.data() + r * row_bytes_; }
  std::int64_t row_bytes() const { return row_bytes_; }

  std::vector<std::int32_t> start;  // -128 * sum of codes
  std::vector<float> step;          // s
  std::vector<float> weight;        // 1 / s
  std::vector<float> residual;      // |x' - s code|
  std::vector<float> norm;          // |x'|; more than kWildNorm: do not screen

 private:
  void encode(const FloatRows& rows, const CodeSpace& space, int top, std::int64_t r,
              float* values);

  std::int64_t row_bytes_;
  AlignedBuffer<std::int8_t> codes_;
};

// Centroids in pairs of panels, in the order given by `order` (position -> number).
struct CentroidPanels {
  CentroidPanels(const float* centroids, std::int64_t dim, const CodeSpace& space,
                 const std::vector<std::int32_t>& order, int n_threads);

  std::int64_t n_pairs = 0;
  AlignedBuffer<std::uint8_t> data;  // 128 * groups bytes a pair
  bool wild = false;                 // a centroid beyond kWildNorm: do not screen
  std::vector<float> scale;          // t; 0 behind the last centroid
  std::vector<float> bias;           // -|c'|^2 / 2; -inf behind the last centroid
  std::vector<float> reach;          // a pair: max |c'|
  std::vector<float> error;          // a pair: max |c' - t code_c|

 private:
  void encode_pair(const float* centroids, std::int64_t dim, const CodeSpace& space,
                   const std::vector<std::int32_t>& order, std::int64_t pair);
};

// An order in which near centroids are neighbours, for groups of `group` positions: halves again
// and again along the direction between two far centroids.
std::vector<std::int32_t> neighbourly_order(const float* centroids, std::int64_t k,
                                            std::int64_t dim, std::int64_t group);

}  // namespace vl
