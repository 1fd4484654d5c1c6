// SPDX-License-Identifier: Apache-2.0
// A batch of queries in the terms of a Screen: rotated, coded, and with the numbers that its bound
// needs.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "index/screen.h"
#include "simd/panel.h"

namespace vl {

struct QueryTerms {
  double step = 1.0;      // t of the head
  double residual = 0.0;  // |u - t code_q|
  double length = 0.0;    // |t code_q|
  double tail = 0.0;      // |u_tail|
  double square = 0.0;    // |q'|^2
};

class ScreenQueries {
 public:
  // `values` are n float32 queries of the screen's dimension, row-major.
  ScreenQueries(const Screen& screen, const float* values, std::int64_t n, int n_jobs);

  const QueryTerms& terms(std::int64_t q) const { return terms_[static_cast<std::size_t>(q)]; }
  // E of screen.h for rows with these maxima, and for any row.
  double slack(std::int64_t q, const BlockMaxima& block) const;
  double slack(std::int64_t q) const { return slack(q, overall_); }
  // Kernel arguments for n queries from `first` on (a multiple of kQueryPad); limits are the
  // caller's.
  PanelQueries panel_queries(std::int64_t first, int n) const;
  // Rows [row, row + 32) of the screen.
  PanelPair panel_pair(std::int64_t row) const;
  // Queries whose codes stay in a 1 MiB L2 cache beside panels and hits; a multiple of 96.
  static int per_sweep(const Screen& screen);

 private:
  void prepare(std::int64_t q, const float* values, const float* rotated, int largest_code);

  const Screen& screen_;
  BlockMaxima overall_{0, 0, 0, 0};
  std::vector<QueryTerms> terms_;
  AlignedBuffer<std::int8_t> codes_;
  std::vector<std::int32_t> start_;
  std::vector<std::int32_t> rest_start_;
  std::vector<float> rest_weight_;
  std::vector<float> tail_;
  std::vector<float> bias_;
};

// What the kernels need beside queries and rows, for up to n queries of one thread.
struct ScreenScratch {
  explicit ScreenScratch(int n);

  std::vector<PanelHit> hits;
  std::vector<float> limits;  // +inf beyond the queries
  AlignedBuffer<float> survivor_values;
  std::vector<std::int32_t> survivors;
};

}  // namespace vl
