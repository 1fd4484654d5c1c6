// SPDX-License-Identifier: Apache-2.0
#include "compress/residual.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/threads.h"
#include "compress/residual_books.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr int kBlockSums = 256;  // partial sums worked on together: products of 256 KiB

float square(const float* row, std::int64_t dim) {
  float sums[8] = {};
  std::int64_t d = 0;
  for (; d + 8 <= dim; d += 8) {
    for (int i = 0; i < 8; ++i) sums[i] += row[d + i] * row[d + i];
  }
  for (; d < dim; ++d) sums[0] += row[d] * row[d];
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

struct Candidate {
  float value;  // squared residual less a constant of the row
  int parent;   // partial sum it extends
  int code;
};

bool better(const Candidate& a, const Candidate& b) {
  if (a.value != b.value) return a.value < b.value;
  return a.parent != b.parent ? a.parent < b.parent : a.code < b.code;
}

// Encodes a block of rows; one for each worker.
class Encoder {
 public:
  Encoder(const AdditiveBooks& books, int beam)
      : books_(books),
        shape_(books.shape()),
        beam_(beam),
        rows_(std::max(1, kBlockSums / beam)),
        sums_(static_cast<std::size_t>(rows_ * beam) * static_cast<std::size_t>(shape_.dim)),
        next_(sums_.size()),
        halves_(static_cast<std::size_t>((rows_ * beam + kQueryPad - 1) / kQueryPad * kQueryPad) *
                static_cast<std::size_t>(books.row_halves())),
        products_(static_cast<std::size_t>(rows_ * beam) *
                  static_cast<std::size_t>(books.padded())),
        norms_(static_cast<std::size_t>(rows_ * beam)),
        codes_(static_cast<std::size_t>(rows_ * beam) *
               static_cast<std::size_t>(shape_.n_codebooks)),
        next_codes_(codes_.size()) {
    std::fill_n(halves_.data(), halves_.size(), std::uint16_t{0});
  }

  int rows() const { return rows_; }

  void encode(const float* x, int n, int sweeps, std::uint8_t* out) {
    search(x, n);
    std::copy_n(codes_.data(), n * shape_.n_codebooks, out);
    for (int s = 0; s < sweeps; ++s) sweep(n, out);
  }

 private:
  float* residual(int slot) { return sums_.data() + slot * shape_.dim; }
  std::uint8_t* codes(int slot) { return codes_.data() + slot * shape_.n_codebooks; }

  void multiply(int book, int n_slots) {
    for (int s = 0; s < n_slots; ++s) {
      books_.round_row(residual(s), halves_.data() + s * books_.row_halves());
    }
    books_.products(book, halves_.data(), n_slots, products_.data());
  }

  // Slots are row * live + partial sum; at the end only the best sum of a row is left.
  void search(const float* x, int n) {
    std::copy_n(x, n * shape_.dim, sums_.data());
    int live = 1;
    for (int m = 0; m < shape_.n_codebooks; ++m) {
      for (int s = 0; s < n * live; ++s)
        norms_[static_cast<std::size_t>(s)] = square(residual(s), shape_.dim);
      multiply(m, n * live);
      const auto most = static_cast<std::int64_t>(live) * shape_.n_codewords;
      const bool last = m + 1 == shape_.n_codebooks;
      const int keep = last ? 1 : static_cast<int>(std::min<std::int64_t>(beam_, most));
      for (int i = 0; i < n; ++i) extend(m, i, live, keep);
      std::swap(sums_, next_);
      std::swap(codes_, next_codes_);
      live = keep;
    }
  }

  // The `keep` best extensions of row i's partial sums, best first.
  void extend(int m, int i, int live, int keep) {
    chosen_.clear();
    const float* norms = books_.norms(m);
    for (int b = 0; b < live; ++b) {
      const int slot = i * live + b;
      const float* dots = products_.data() + static_cast<std::ptrdiff_t>(slot) * books_.padded();
      const float base = norms_[static_cast<std::size_t>(slot)];
      for (int k = 0; k < shape_.n_codewords; ++k) {
        const float value = base + (norms[k] - 2.0F * dots[k]);
        if (static_cast<int>(chosen_.size()) < keep || value < chosen_.back().value) {
          insert({value, b, k}, keep);
        }
      }
    }
    for (int c = 0; c < keep; ++c) {
      const Candidate& at = chosen_[static_cast<std::size_t>(c)];
      const float* from = residual(i * live + at.parent);
      const float* word = books_.word(m, at.code);
      float* to = next_.data() + (i * keep + c) * shape_.dim;
      for (std::int64_t d = 0; d < shape_.dim; ++d) to[d] = from[d] - word[d];
      std::uint8_t* code = next_codes_.data() + (i * keep + c) * shape_.n_codebooks;
      std::copy_n(codes(i * live + at.parent), m, code);
      code[m] = static_cast<std::uint8_t>(at.code);
    }
  }

  void insert(const Candidate& candidate, int keep) {
    if (static_cast<int>(chosen_.size()) == keep) chosen_.pop_back();
    chosen_.insert(std::upper_bound(chosen_.begin(), chosen_.end(), candidate, better), candidate);
  }

  // Each code in turn replaced by the best given the others; never for the worse.
  void sweep(int n, std::uint8_t* out) {
    for (int m = 0; m < shape_.n_codebooks; ++m) {
      for (int i = 0; i < n; ++i) move(i, books_.word(m, out[i * shape_.n_codebooks + m]), 1.0F);
      multiply(m, n);
      const float* norms = books_.norms(m);
      for (int i = 0; i < n; ++i) {
        std::uint8_t* code = out + i * shape_.n_codebooks + m;
        const float* dots = products_.data() + static_cast<std::ptrdiff_t>(i) * books_.padded();
        int best = *code;
        for (int k = 0; k < shape_.n_codewords; ++k) {
          if (norms[k] - 2.0F * dots[k] < norms[best] - 2.0F * dots[best]) best = k;
        }
        *code = static_cast<std::uint8_t>(best);
        move(i, books_.word(m, best), -1.0F);
      }
    }
  }

  void move(int i, const float* word, float by) {
    float* row = residual(i);
    for (std::int64_t d = 0; d < shape_.dim; ++d) row[d] += by * word[d];
  }

  const AdditiveBooks& books_;
  AdditiveShape shape_;
  int beam_;
  int rows_;
  AlignedBuffer<float> sums_;  // residuals of the partial sums
  AlignedBuffer<float> next_;
  AlignedBuffer<std::uint16_t> halves_;
  AlignedBuffer<float> products_;
  std::vector<float> norms_;
  std::vector<std::uint8_t> codes_;
  std::vector<std::uint8_t> next_codes_;
  std::vector<Candidate> chosen_;
};

}  // namespace

void additive_encode(const float* x, std::int64_t n, const AdditiveShape& shape,
                     const float* codebooks, int beam, int sweeps, int n_jobs,
                     std::uint8_t* codes) {
  const AdditiveBooks books(shape, codebooks);
  const int block = std::max(1, kBlockSums / beam);
  const int n_threads = resolve_jobs(n_jobs);
  std::vector<std::vector<Encoder>> encoders(static_cast<std::size_t>(n_threads));
  parallel_for((n + block - 1) / block, n_threads, [&](std::int64_t task, int worker) {
    std::vector<Encoder>& mine = encoders[static_cast<std::size_t>(worker)];
    if (mine.empty()) mine.emplace_back(books, beam);
    const std::int64_t first = task * block;
    mine.front().encode(x + first * shape.dim,
                        static_cast<int>(std::min<std::int64_t>(block, n - first)), sweeps,
                        codes + first * shape.n_codebooks);
  });
}

void additive_decode(const std::uint8_t* codes, std::int64_t n, const AdditiveShape& shape,
                     const float* codebooks, int n_jobs, float* out) {
  constexpr std::int64_t kRows = 64;
  parallel_for((n + kRows - 1) / kRows, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    for (std::int64_t i = task * kRows; i < std::min(n, (task + 1) * kRows); ++i) {
      float* to = out + i * shape.dim;
      std::fill_n(to, shape.dim, 0.0F);
      for (int m = 0; m < shape.n_codebooks; ++m) {
        const int code = std::min<int>(codes[i * shape.n_codebooks + m], shape.n_codewords - 1);
        const float* word = codebooks + m * shape.book() + code * shape.dim;
        for (std::int64_t d = 0; d < shape.dim; ++d) to[d] += word[d];
      }
    }
  });
}

}  // namespace vl
