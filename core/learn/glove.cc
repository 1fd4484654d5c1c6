// SPDX-License-Identifier: Apache-2.0
// Words are dealt to kStripes stripes, and pairs to kStripes^2 blocks by the stripes of their row
// and column. Blocks that share neither are worked on side by side (Gemulla, Nijkamp, Haas,
// Sismanis, "Large-scale matrix factorization with distributed stochastic gradient descent", KDD
// 2011, doi:10.1145/2020408.2020426): no row is touched by two threads at once, so the result is
// the same at any number of them.
#include "learn/glove.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/threads.h"

#if defined(__GNUC__) && !defined(__clang__)
#define VL_NO_ERRNO __attribute__((optimize("no-math-errno")))
#else
#define VL_NO_ERRNO
#endif

namespace vl {
namespace {

constexpr std::int64_t kStripes = 8;
constexpr int kLanes = 8;
constexpr std::uint32_t kStartStream = 0x676c6f76;
constexpr std::uint32_t kOrderStream = 0x676c6f77;

float dot(const float* a, const float* b, std::int64_t dim) {
  float lanes[kLanes] = {};
  std::int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += a[d + l] * b[d + l];
  }
  float sum = 0.0f;
  for (; d < dim; ++d) sum += a[d] * b[d];
  for (const float lane : lanes) sum += lane;
  return sum;
}

// AdaGrad on both rows of a pair, each from the other as it was.
VL_NO_ERRNO void move(float* __restrict w, float* __restrict w_squares, float* __restrict c,
                      float* __restrict c_squares, float error, float rate, std::int64_t dim) {
  for (std::int64_t d = 0; d < dim; ++d) {
    const float of_w = error * c[d];
    const float of_c = error * w[d];
    w[d] -= rate * of_w / std::sqrt(w_squares[d]);
    c[d] -= rate * of_c / std::sqrt(c_squares[d]);
    w_squares[d] += of_w * of_w;
    c_squares[d] += of_c * of_c;
  }
}

}  // namespace

GloveTrainer::GloveTrainer(std::span<const std::int64_t> offsets,
                           std::span<const std::int32_t> columns, std::span<const float> values,
                           const GloveOptions& options)
    : options_(options), n_(static_cast<std::int64_t>(offsets.size()) - 1) {
  const auto block_of = [](std::int64_t row, std::int64_t column) {
    return static_cast<std::size_t>(row % kStripes * kStripes + column % kStripes);
  };
  std::vector<std::int64_t> next(kStripes * kStripes, 0);
  const auto each = [&](auto&& visit) {
    for (std::int64_t row = 0; row < n_; ++row) {
      for (auto k = static_cast<std::size_t>(offsets[static_cast<std::size_t>(row)]);
           k < static_cast<std::size_t>(offsets[static_cast<std::size_t>(row) + 1]); ++k) {
        visit(row, k);
      }
    }
  };
  each([&](std::int64_t row, std::size_t k) { ++next[block_of(row, columns[k])]; });
  blocks_.push_back(0);
  for (std::int64_t& count : next) {
    blocks_.push_back(blocks_.back() + count);
    count = blocks_[blocks_.size() - 2];
  }
  pairs_.resize(static_cast<std::size_t>(blocks_.back()));
  each([&](std::int64_t row, std::size_t k) {
    const double share = std::pow(static_cast<double>(values[k]) / options.x_max, options.power);
    pairs_[static_cast<std::size_t>(next[block_of(row, columns[k])]++)] = {
        static_cast<std::int32_t>(row), columns[k], std::log(values[k]),
        static_cast<float>(std::min(1.0, share))};
  });
  for (std::size_t b = 0; b + 1 < blocks_.size(); ++b) {
    Random random(options.seed, kOrderStream, b);
    const auto begin = static_cast<std::size_t>(blocks_[b]);
    for (std::size_t left = static_cast<std::size_t>(blocks_[b + 1]) - begin; left > 1; --left) {
      std::swap(pairs_[begin + left - 1], pairs_[begin + random.below64(left)]);
    }
  }
  std::uint64_t side_number = 0;
  for (Side* side : {&words_, &contexts_}) {
    const auto size = static_cast<std::size_t>(n_ * options.dim);
    side->rows.resize(size);
    side->squares.assign(size, 1.0f);
    side->bias.assign(static_cast<std::size_t>(n_), 0.0f);
    side->bias_squares.assign(static_cast<std::size_t>(n_), 1.0f);
    Random random(options.seed, kStartStream, side_number++);
    for (float& value : side->rows) {
      value = (random.uniform() - 0.5f) / static_cast<float>(options.dim);
    }
  }
}

double GloveTrainer::step(const Pair& pair) {
  const auto i = static_cast<std::size_t>(pair.row);
  const auto j = static_cast<std::size_t>(pair.column);
  const auto dim = static_cast<std::size_t>(options_.dim);
  float* w = words_.rows.data() + i * dim;
  float* c = contexts_.rows.data() + j * dim;
  const float error = dot(w, c, options_.dim) + words_.bias[i] + contexts_.bias[j] - pair.log_count;
  const float weighted = pair.weight * error;
  const auto rate = static_cast<float>(options_.rate);
  move(w, words_.squares.data() + i * dim, c, contexts_.squares.data() + j * dim, weighted, rate,
       options_.dim);
  words_.bias[i] -= rate * weighted / std::sqrt(words_.bias_squares[i]);
  contexts_.bias[j] -= rate * weighted / std::sqrt(contexts_.bias_squares[j]);
  words_.bias_squares[i] += weighted * weighted;
  contexts_.bias_squares[j] += weighted * weighted;
  return static_cast<double>(weighted) * static_cast<double>(error);
}

double GloveTrainer::epoch(int n_jobs) {
  std::vector<double> losses(kStripes * kStripes, 0.0);
  for (std::int64_t shift = 0; shift < kStripes; ++shift) {
    parallel_for(kStripes, resolve_jobs(n_jobs), [&](std::int64_t stripe, int) {
      const auto b = static_cast<std::size_t>(stripe * kStripes + (stripe + shift) % kStripes);
      double sum = 0.0;
      for (std::int64_t k = blocks_[b]; k < blocks_[b + 1]; ++k) {
        if (k % 65536 == 0) poll_interrupt();
        sum += step(pairs_[static_cast<std::size_t>(k)]);
      }
      losses[b] = sum;
    });
  }
  double total = 0.0;
  for (const double loss : losses) total += loss;
  return total / static_cast<double>(std::max<std::size_t>(pairs_.size(), 1));
}

void GloveTrainer::vectors(float* out) const {
  for (std::size_t k = 0; k < words_.rows.size(); ++k) out[k] = words_.rows[k] + contexts_.rows[k];
}

}  // namespace vl
