// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "base/aligned.h"
#include "base/threads.h"
#include "compress/codebook_train.h"
#include "compress/residual.h"

namespace vl {
namespace {

constexpr std::int64_t kSlice = 16;  // dimensions refitted together: one cache line of a row
constexpr int kGreedyPasses = 2;     // of the refit after each new codebook
constexpr int kRoundPasses = 6;      // of the refit of a round

// One slice of the dimensions: all codebooks, all rows.
class Refit {
 public:
  Refit(const float* x, std::int64_t n, const AdditiveShape& shape, const std::uint8_t* codes,
        std::int64_t first, float* codebooks)
      : n_(n),
        shape_(shape),
        codes_(codes),
        first_(first),
        width_(std::min(kSlice, shape.dim - first)),
        codebooks_(codebooks),
        residual_(static_cast<std::size_t>(n * width_)),
        moves_(static_cast<std::size_t>(shape.n_codewords * width_)),
        counts_(static_cast<std::size_t>(shape.n_codewords)) {
    for (std::int64_t i = 0; i < n; ++i) {
      float* row = residual_.data() + i * width_;
      std::copy_n(x + i * shape.dim + first, width_, row);
      for (int m = 0; m < shape.n_codebooks; ++m) {
        const float* from = word(m, codes[i * shape.n_codebooks + m]);
        for (std::int64_t d = 0; d < width_; ++d) row[d] -= from[d];
      }
    }
  }

  // Adds to each codeword the mean residual of its rows: the least squares step of one codebook.
  void step(int m) {
    std::fill(moves_.begin(), moves_.end(), 0.0);
    std::fill(counts_.begin(), counts_.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < n_; ++i) {
      const int code = codes_[i * shape_.n_codebooks + m];
      double* to = moves_.data() + code * width_;
      const float* row = residual_.data() + i * width_;
      for (std::int64_t d = 0; d < width_; ++d) to[d] += static_cast<double>(row[d]);
      ++counts_[static_cast<std::size_t>(code)];
    }
    std::vector<float> move(moves_.size(), 0.0F);
    for (int k = 0; k < shape_.n_codewords; ++k) {
      const std::int64_t count = counts_[static_cast<std::size_t>(k)];
      for (std::int64_t d = 0; d < width_ && count > 0; ++d) {
        const auto at = static_cast<std::size_t>(k * width_ + d);
        move[at] = static_cast<float>(moves_[at] / static_cast<double>(count));
        word(m, k)[d] += move[at];
      }
    }
    for (std::int64_t i = 0; i < n_; ++i) {
      const float* by = move.data() + codes_[i * shape_.n_codebooks + m] * width_;
      float* row = residual_.data() + i * width_;
      for (std::int64_t d = 0; d < width_; ++d) row[d] -= by[d];
    }
  }

 private:
  float* word(int m, int k) { return codebooks_ + m * shape_.book() + k * shape_.dim + first_; }

  std::int64_t n_;
  AdditiveShape shape_;
  const std::uint8_t* codes_;
  std::int64_t first_;
  std::int64_t width_;
  float* codebooks_;
  std::vector<float> residual_;
  std::vector<double> moves_;
  std::vector<std::int64_t> counts_;
};

}  // namespace

void additive_refit(const float* x, std::int64_t n, const AdditiveShape& shape,
                    const std::uint8_t* codes, int passes, int n_jobs, float* codebooks) {
  const std::int64_t n_tasks = (shape.dim + kSlice - 1) / kSlice;
  parallel_for(n_tasks, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    Refit refit(x, n, shape, codes, task * kSlice, codebooks);
    for (int pass = 0; pass < passes; ++pass) {
      poll_interrupt();
      for (int m = 0; m < shape.n_codebooks; ++m) refit.step(m);
    }
  });
}

void additive_train(const float* x, std::int64_t n, const AdditiveShape& shape,
                    const AdditiveTraining& training, int n_jobs, float* codebooks) {
  AlignedBuffer<float> residual(static_cast<std::size_t>(n * shape.dim));
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(n * shape.n_codebooks));
  std::copy_n(x, n * shape.dim, residual.data());
  for (int m = 0; m < shape.n_codebooks; ++m) {
    poll_interrupt();
    float* book = codebooks + m * shape.book();
    train_codebook(residual.data(), n, static_cast<int>(shape.dim), shape.n_codewords,
                   training.max_iter, book);
    AdditiveShape some = shape;
    some.n_codebooks = m + 1;
    additive_encode(x, n, some, codebooks, training.beam, 0, n_jobs, codes.data());
    additive_refit(x, n, some, codes.data(), kGreedyPasses, n_jobs, codebooks);
    std::copy_n(x, n * shape.dim, residual.data());
    for (std::int64_t i = 0; i < n; ++i) {
      float* row = residual.data() + i * shape.dim;
      for (int b = 0; b <= m; ++b) {
        const float* word = codebooks + b * shape.book() +
                            codes[static_cast<std::size_t>(i * (m + 1) + b)] * shape.dim;
        for (std::int64_t d = 0; d < shape.dim; ++d) row[d] -= word[d];
      }
    }
  }
  for (int round = 0; round < training.rounds; ++round) {
    additive_encode(x, n, shape, codebooks, training.beam, 0, n_jobs, codes.data());
    additive_refit(x, n, shape, codes.data(), kRoundPasses, n_jobs, codebooks);
  }
}

}  // namespace vl
