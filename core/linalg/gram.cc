// SPDX-License-Identifier: Apache-2.0
//   G = sum_r (x_r - m)(x_r - m)ᵀ
// Features are the rows of the block product and samples its dimensions, so a panel of 16 features
// is 16 neighbouring columns of the data as they lie. Only products with columns at or before a
// panel's are formed (the matrix is symmetric): n dim (dim + 32) / 2 multiply-adds.
//
// Few rows: float32 products within blocks of samples, blocks added in float64.
// Many rows (kManyRows) where the CPU multiplies bfloat16 natively: entries are rounded to bfloat16
// *stochastically*, up or down with the probabilities that make the rounding error zero on average
// whatever the data, so errors average out over the rows: the error of G_ij has standard deviation
// below 2^-8 / sqrt(n) of sqrt(G_ii G_jj), under 2^-16 here, and is 2^-7.5 of the sampling error
// that n rows leave in a covariance anyway. The diagonal, where errors would add up, is exact.
#include "linalg/gram.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "base/threads.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kManyRows = 65536;
constexpr std::int64_t kBlockGroups = 192;  // two panels of a block are 24 KiB: first-level cache
constexpr std::int64_t kBlocksInFloat = 6;  // summed in float32 before they go to float64
constexpr std::int64_t kRowsPerTask = 16384;
constexpr std::int64_t kPairRows = kPanelsPerCall * kPanelRows;
constexpr std::int64_t kRowsForCentre = 1024;
constexpr std::uint32_t kRoundingStream = 0x6772616d;

struct Workspace {
  AlignedBuffer<std::uint32_t> panels, queries;  // one four-byte group a feature
  AlignedBuffer<float> sums, partial, scratch;
  std::vector<double> total;  // products, squares, sums
};

class Gram {
 public:
  Gram(const float* x, std::int64_t n, std::int64_t dim, const float* mean)
      : x_(x),
        mean_(mean),
        n_(n),
        dim_(dim),
        padded_((dim + kPairRows - 1) / kPairRows * kPairRows),
        narrow_(n >= kManyRows && panel_kernels().level >= SimdLevel::kAvx512Bf16) {}

  std::int64_t tasks() const { return (n_ + kRowsPerTask - 1) / kRowsPerTask; }
  Workspace workspace() const;
  void run(std::int64_t task, Workspace& w) const;
  // Adds the tasks up in order; `sums`, (dim,), may be null.
  void finish(const std::vector<std::vector<double>>& totals, double* out, double* sums) const;

 private:
  std::int64_t samples_per_group() const { return narrow_ ? 2 : 1; }
  void pack(std::int64_t first, std::int64_t last, Workspace& w) const;
  void pack_float(const float* row, std::uint32_t* group, Workspace& w) const;
  void pack_narrow(const float* row, const float* next, std::uint32_t* group, std::uint32_t* noise,
                   Workspace& w) const;
  void transpose(Workspace& w) const;
  void multiply(Workspace& w) const;
  void flush(Workspace& w) const;

  const float* x_;
  const float* mean_;
  std::int64_t n_, dim_, padded_;
  bool narrow_;
};

Workspace Gram::workspace() const {
  Workspace w;
  const auto count = static_cast<std::size_t>(padded_ * kBlockGroups);
  w.panels = AlignedBuffer<std::uint32_t>(count);
  w.queries = AlignedBuffer<std::uint32_t>(count);
  w.sums = AlignedBuffer<float>(static_cast<std::size_t>(padded_ * padded_));
  w.scratch = AlignedBuffer<float>(static_cast<std::size_t>(padded_ * kPairRows));
  w.partial = AlignedBuffer<float>(static_cast<std::size_t>(2 * padded_));
  return w;
}

// Stochastic rounding to bfloat16: 16 random bits are added below the bits that stay.
inline std::uint32_t next_noise(std::uint32_t& state) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

void Gram::pack_float(const float* row, std::uint32_t* group, Workspace& w) const {
  float* sums = w.partial.data() + padded_;
  for (std::int64_t d = 0; d < dim_; ++d) {
    const float value = row[d] - (mean_ != nullptr ? mean_[d] : 0.0f);
    sums[d] += value;
    group[d] = std::bit_cast<std::uint32_t>(value);
  }
}

// One group: samples `row` and `next` of every feature. `noise` holds one generator a feature.
void Gram::pack_narrow(const float* row, const float* next, std::uint32_t* __restrict__ group,
                       std::uint32_t* __restrict__ noise, Workspace& w) const {
  float* __restrict__ squares = w.partial.data();
  float* __restrict__ sums = squares + padded_;
  for (std::int64_t d = 0; d < dim_; ++d) {
    const float centre = mean_ != nullptr ? mean_[d] : 0.0f;
    const float low = row[d] - centre;
    const float high = next != nullptr ? next[d] - centre : 0.0f;
    squares[d] += low * low + high * high;
    sums[d] += low + high;
    const std::uint32_t bits = next_noise(noise[d]);
    const std::uint32_t a = std::bit_cast<std::uint32_t>(low) + (bits & 0xffff);
    const std::uint32_t b = std::bit_cast<std::uint32_t>(high) + (bits >> 16);
    group[d] = (a >> 16) | (b & 0xffff0000u);
  }
}

// panels as [group][feature]: the layout in which samples arrive.
void Gram::pack(std::int64_t first, std::int64_t last, Workspace& w) const {
  const std::int64_t step = samples_per_group();
  std::vector<std::uint32_t> noise(static_cast<std::size_t>(padded_), 1u);
  if (narrow_) {
    Random random(0, kRoundingStream, static_cast<std::uint64_t>(first));
    for (std::uint32_t& state : noise) state = random.uint32() | 1u;
  }
  for (std::int64_t g = 0; g < kBlockGroups; ++g) {
    std::uint32_t* group = w.panels.data() + g * padded_;
    const std::int64_t r = first + g * step;
    if (r >= last) {
      std::memset(group, 0, static_cast<std::size_t>(padded_) * sizeof(std::uint32_t));
      continue;
    }
    const float* row = x_ + r * dim_;
    const float* next = r + 1 < last ? row + dim_ : nullptr;
    if (narrow_) {
      pack_narrow(row, next, group, noise.data(), w);
    } else {
      pack_float(row, group, w);
    }
    for (std::int64_t d = dim_; d < padded_; ++d) group[d] = 0;
  }
  transpose(w);
}

using Four [[gnu::vector_size(16)]] = std::uint32_t;

// to[j * to_stride + i] = from[i * from_stride + j] for i, j < 4.
inline void transpose_four(const std::uint32_t* from, std::int64_t from_stride, std::uint32_t* to,
                           std::int64_t to_stride) {
  Four row[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&row[i], from + i * from_stride, sizeof(Four));
  const Four ab_low = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
  const Four ab_high = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
  const Four cd_low = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
  const Four cd_high = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  const Four column[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                          __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                          __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                          __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int j = 0; j < 4; ++j) std::memcpy(to + j * to_stride, &column[j], sizeof(Four));
}

// [group][feature] -> queries [feature][group].
void Gram::transpose(Workspace& w) const {
  constexpr std::int64_t kTile = 16;  // a cache line of groups at a time
  for (std::int64_t d = 0; d < padded_; d += 4) {
    for (std::int64_t g = 0; g < kBlockGroups; g += kTile) {
      for (std::int64_t i = 0; i < kTile; i += 4) {
        transpose_four(w.panels.data() + (g + i) * padded_ + d, padded_,
                       w.queries.data() + d * kBlockGroups + g + i, kBlockGroups);
      }
    }
  }
}

void Gram::multiply(Workspace& w) const {
  const PanelKernels& kernels = panel_kernels();
  const PanelProduct product = narrow_ ? kernels.product_bf16 : kernels.product_f32;
  alignas(64) static thread_local std::uint32_t pair_data[kBlockGroups * kPairRows];
  for (std::int64_t column = 0; column < padded_; column += kPairRows) {
    for (std::int64_t g = 0; g < kBlockGroups; ++g) {
      const std::uint32_t* from = w.panels.data() + g * padded_ + column;
      std::memcpy(pair_data + g * kPanelRows, from, 64);
      std::memcpy(pair_data + (kBlockGroups + g) * kPanelRows, from + kPanelRows, 64);
    }
    const auto n = static_cast<int>(padded_ - column);
    product(w.queries.data() + column * kBlockGroups, kBlockGroups * kGroupBytes, n, pair_data, 1,
            static_cast<int>(kBlockGroups), w.scratch.data(), kPairRows);
    float* sums = w.sums.data() + column * padded_;
    for (std::int64_t i = 0; i < n * kPairRows; ++i)
      sums[i] += w.scratch[static_cast<std::size_t>(i)];
  }
}

// Adds the float32 sums to the float64 totals: block of 32 columns j from row j on.
void Gram::flush(Workspace& w) const {
  const auto count = static_cast<std::size_t>(padded_ * padded_);
  for (std::size_t i = 0; i < count; ++i) w.total[i] += static_cast<double>(w.sums[i]);
  std::fill(w.sums.data(), w.sums.data() + count, 0.0f);
  const auto extra = static_cast<std::size_t>(2 * padded_);
  for (std::size_t i = 0; i < extra; ++i) w.total[count + i] += static_cast<double>(w.partial[i]);
  std::fill(w.partial.data(), w.partial.data() + extra, 0.0f);
}

void Gram::run(std::int64_t task, Workspace& w) const {
  const std::int64_t first = task * kRowsPerTask;
  const std::int64_t last = std::min(n_, first + kRowsPerTask);
  const std::int64_t samples = kBlockGroups * samples_per_group();
  w.total.assign(static_cast<std::size_t>((padded_ + 2) * padded_), 0.0);
  std::fill(w.sums.data(), w.sums.data() + w.sums.size(), 0.0f);
  std::fill(w.partial.data(), w.partial.data() + w.partial.size(), 0.0f);
  std::int64_t blocks = 0;
  for (std::int64_t r = first; r < last; r += samples) {
    poll_interrupt();
    pack(r, std::min(last, r + samples), w);
    multiply(w);
    if (++blocks % kBlocksInFloat == 0) flush(w);
  }
  flush(w);
}

void Gram::finish(const std::vector<std::vector<double>>& totals, double* out, double* sums) const {
  std::vector<double> sum(static_cast<std::size_t>((padded_ + 2) * padded_), 0.0);
  for (const std::vector<double>& total : totals) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += total[i];
  }
  const double* squares = sum.data() + padded_ * padded_;
  for (std::int64_t j = 0; j < dim_; ++j) {
    const std::int64_t column = j / kPairRows * kPairRows;
    const double* block = sum.data() + column * padded_;
    for (std::int64_t i = j; i < dim_; ++i) {
      const double value = block[(i - column) * kPairRows + j - column];
      out[i * dim_ + j] = value;
      out[j * dim_ + i] = value;
    }
    if (narrow_) out[j * dim_ + j] = squares[j];
    if (sums != nullptr) sums[j] = squares[padded_ + j];
  }
}

void accumulate(const float* x, std::int64_t n, std::int64_t dim, const float* centre, double* out,
                double* sums, int n_threads) {
  const Gram job(x, n, dim, centre);
  std::vector<std::vector<double>> totals(static_cast<std::size_t>(job.tasks()));
  std::vector<Workspace> work(static_cast<std::size_t>(n_threads));
  parallel_for(job.tasks(), n_threads, [&](std::int64_t task, int worker) {
    Workspace& w = work[static_cast<std::size_t>(worker)];
    if (w.panels.size() == 0) w = job.workspace();
    job.run(task, w);
    totals[static_cast<std::size_t>(task)] = std::move(w.total);
  });
  job.finish(totals, out, sums);
}

}  // namespace

void gram(const float* x, std::int64_t n, std::int64_t dim, const float* mean, double* out,
          int n_threads) {
  accumulate(x, n, dim, mean, out, nullptr, n_threads);
}

// Around the mean c of some rows first, which keeps the terms small, then moved to the true mean:
// G_m = G_c - n (m - c)(m - c)ᵀ.
void moments(const float* x, std::int64_t n, std::int64_t dim, double* mean, double* out,
             int n_threads) {
  const std::int64_t some = std::min(n, kRowsForCentre);
  const std::int64_t step = n / some;
  std::vector<double> sums(static_cast<std::size_t>(dim), 0.0);
  std::vector<float> centre(static_cast<std::size_t>(dim));
  for (std::int64_t r = 0; r < some; ++r) {
    const float* row = x + r * step * dim;
    for (std::int64_t d = 0; d < dim; ++d)
      sums[static_cast<std::size_t>(d)] += static_cast<double>(row[d]);
  }
  for (std::size_t d = 0; d < centre.size(); ++d) {
    centre[d] = static_cast<float>(sums[d] / static_cast<double>(some));
  }
  accumulate(x, n, dim, centre.data(), out, sums.data(), n_threads);
  const auto count = static_cast<double>(n);
  for (double& shift : sums) shift /= count;
  for (std::int64_t i = 0; i < dim; ++i) {
    const double a = sums[static_cast<std::size_t>(i)];
    mean[i] = static_cast<double>(centre[static_cast<std::size_t>(i)]) + a;
    for (std::int64_t j = 0; j < dim; ++j) {
      out[i * dim + j] -= count * a * sums[static_cast<std::size_t>(j)];
    }
  }
}

}  // namespace vl
