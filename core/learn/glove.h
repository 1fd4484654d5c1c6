// SPDX-License-Identifier: Apache-2.0
// GloVe: log counts of pairs as inner products, by weighted least squares and AdaGrad.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vl {

struct GloveOptions {
  std::int64_t dim = 100;
  double x_max = 100.0;
  double power = 0.75;  // weight of a pair: min(1, (count / x_max)^power)
  double rate = 0.05;
  std::uint64_t seed = 0;
};

class GloveTrainer {
 public:
  // The pairs of a sparse matrix of counts, row by row.
  GloveTrainer(std::span<const std::int64_t> offsets, std::span<const std::int32_t> columns,
               std::span<const float> values, const GloveOptions& options);

  // One pass over all pairs; returns the mean of weight * error^2, as the pairs were met.
  double epoch(int n_jobs);
  // Words plus contexts, (n, dim).
  void vectors(float* out) const;

 private:
  struct Pair {
    std::int32_t row, column;
    float log_count, weight;
  };
  struct Side {
    std::vector<float> rows, squares, bias, bias_squares;
  };
  double step(const Pair& pair);

  GloveOptions options_;
  std::int64_t n_;
  std::vector<Pair> pairs_;           // block by block
  std::vector<std::int64_t> blocks_;  // where each begins
  Side words_, contexts_;
};

}  // namespace vl
