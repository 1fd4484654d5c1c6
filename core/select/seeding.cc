// SPDX-License-Identifier: Apache-2.0
#include "select/seeding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "base/threads.h"
#include "simd/pair.h"

namespace vl {
namespace {

constexpr std::uint32_t kStreamRandom = 0x6b6d0001;
constexpr std::uint32_t kStreamPlusPlus = 0x6b6d0002;
constexpr std::uint32_t kStreamSeedRows = 0x6b6d0004;
constexpr std::int64_t kBlock = 1024;  // rows of a partial sum and of a task

// A row with probability proportional to mass[row]; `blocks` are the sums of kBlock rows each.
// Falls back to the last row with mass when rounding runs past the end.
std::int64_t draw(const std::vector<double>& mass, const std::vector<double>& blocks,
                  double uniform) {
  double total = 0.0;
  for (const double block : blocks) total += block;
  double left = uniform * total;
  std::size_t b = 0;
  while (b + 1 < blocks.size() && left >= blocks[b]) left -= blocks[b++];
  const std::int64_t first = static_cast<std::int64_t>(b) * kBlock;
  const std::int64_t last = std::min<std::int64_t>(first + kBlock, std::ssize(mass));
  std::int64_t chosen = -1;
  for (std::int64_t r = first; r < last; ++r) {
    if (!(mass[r] > 0.0)) continue;
    chosen = r;
    if (left < mass[r]) break;
    left -= mass[r];
  }
  if (chosen >= 0) return chosen;
  for (std::int64_t r = std::ssize(mass) - 1; r >= 0; --r) {
    if (mass[r] > 0.0) return r;
  }
  return 0;
}

}  // namespace

void draw_rows(std::int64_t n, std::int64_t k, std::uint64_t seed, std::uint32_t stream,
               std::int64_t* out) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Random random(seed, stream);
  for (std::int64_t i = 0; i < k; ++i) {
    std::swap(order[i], order[i + static_cast<std::int64_t>(random.below64(n - i))]);
  }
  std::sort(order.begin(), order.begin() + k);
  std::copy_n(order.begin(), k, out);
}

void seed_random(const FloatRows& rows, std::int64_t k, std::uint64_t seed, float* centroids) {
  std::vector<std::int64_t> chosen(static_cast<std::size_t>(k));
  draw_rows(rows.n, k, seed, kStreamRandom, chosen.data());
  for (std::int64_t c = 0; c < k; ++c) {
    std::copy_n(rows.row(chosen[c]), rows.dim, centroids + c * rows.dim);
  }
}

namespace {

void seed_greedy(const FloatRows& rows, const double* weights, std::int64_t k, std::uint64_t seed,
                 int n_threads, float* centroids) {
  const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
  const auto tries = static_cast<int>(2.0 + std::log(static_cast<double>(k)));
  const std::int64_t n_blocks = (rows.n + kBlock - 1) / kBlock;
  Random random(seed, kStreamPlusPlus);
  const auto n = static_cast<std::size_t>(rows.n);
  std::vector<double> squared(n, std::numeric_limits<double>::infinity());
  std::vector<double> mass(n), blocks(static_cast<std::size_t>(n_blocks));
  std::vector<double> trial(n), trial_blocks(blocks.size()), best(n), best_blocks(blocks.size());
  const auto weight = [&](std::int64_t r) { return weights != nullptr ? weights[r] : 1.0; };
  for (std::int64_t r = 0; r < rows.n; ++r) blocks[r / kBlock] += mass[r] = weight(r);
  for (std::int64_t c = 0; c < k; ++c) {
    double least = std::numeric_limits<double>::infinity();
    std::int64_t chosen = -1;
    for (int t = 0; t < (c == 0 ? 1 : tries); ++t) {
      const std::int64_t candidate = draw(mass, blocks, random.uniform64());
      parallel_for(n_blocks, n_threads, [&](std::int64_t b, int) {
        double sum = 0.0;
        const std::int64_t first = b * kBlock;
        const std::int64_t last = std::min(rows.n, first + kBlock);
        l2(rows.row(candidate), rows.row(first), nullptr, last - first, rows.dim,
           trial.data() + first);
        for (std::int64_t r = first; r < last; ++r) {
          trial[r] = std::min(trial[r], squared[r]);
          sum += weight(r) * trial[r];
        }
        trial_blocks[b] = sum;
      });
      const double sum = std::accumulate(trial_blocks.begin(), trial_blocks.end(), 0.0);
      if (chosen < 0 || sum < least) {
        least = sum;
        chosen = candidate;
        std::swap(best, trial);
        std::swap(best_blocks, trial_blocks);
      }
    }
    std::copy_n(rows.row(chosen), rows.dim, centroids + c * rows.dim);
    std::swap(squared, best);
    std::swap(blocks, best_blocks);
    for (std::int64_t r = 0; r < rows.n; ++r) mass[r] = weight(r) * squared[r];
  }
}

// Centroids drawn from one state of the distances; see seeding.h.
class Batch {
 public:
  Batch(const FloatRows& rows, const std::vector<double>& squared)
      : rows_(rows), squared_(squared) {}

  // Keeps row r as a centroid, or not.
  void offer(std::int64_t r, double uniform) {
    const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
    distances_.resize(chosen_.size());
    l2(rows_.row(r), rows_.data, chosen_.data(), std::ssize(chosen_), rows_.dim, distances_.data());
    double now = squared_[r];
    for (const double distance : distances_) now = std::min(now, distance);
    // The first centroid of all has no distances to compare.
    if (std::isinf(squared_[r]) ? chosen_.empty() : uniform * squared_[r] < now) {
      chosen_.push_back(r);
    }
  }

  const std::vector<std::int64_t>& chosen() const { return chosen_; }

 private:
  const FloatRows& rows_;
  const std::vector<double>& squared_;
  std::vector<std::int64_t> chosen_;
  std::vector<double> distances_;
};

void seed_batches(const FloatRows& rows, const double* weights, std::int64_t k, std::uint64_t seed,
                  int n_threads, float* centroids) {
  constexpr std::int64_t kMostBatch = 1024;
  const auto nearest = make_nearest(rows, k, n_threads);
  Random random(seed, kStreamPlusPlus);
  const auto n = static_cast<std::size_t>(rows.n);
  std::vector<double> squared(n, std::numeric_limits<double>::infinity());
  std::vector<std::int32_t> labels(n, -1);
  std::vector<double> mass(n), blocks(static_cast<std::size_t>((rows.n + kBlock - 1) / kBlock));
  std::int64_t done = 0;
  while (done < k) {
    std::fill(blocks.begin(), blocks.end(), 0.0);
    for (std::int64_t r = 0; r < rows.n; ++r) {
      mass[r] = (weights != nullptr ? weights[r] : 1.0) * (done == 0 ? 1.0 : squared[r]);
      blocks[r / kBlock] += mass[r];
    }
    if (!(std::accumulate(blocks.begin(), blocks.end(), 0.0) > 0.0)) break;
    Batch batch(rows, squared);
    const std::int64_t wanted = std::min({std::max<std::int64_t>(done, 1), kMostBatch, k - done});
    for (std::int64_t t = 0; t < 4 * wanted + 32 && std::ssize(batch.chosen()) < wanted; ++t) {
      if (t % 64 == 0) poll_interrupt();
      const std::int64_t r = draw(mass, blocks, random.uniform64());
      batch.offer(r, random.uniform64());
    }
    float* out = centroids + done * rows.dim;
    const std::int64_t got = std::ssize(batch.chosen());
    for (std::int64_t i = 0; i < got; ++i) {
      std::copy_n(rows.row(batch.chosen()[i]), rows.dim, out + i * rows.dim);
    }
    if (got > 0) {
      nearest->improve(out, got, static_cast<std::int32_t>(done), labels.data(), squared.data());
    }
    done += got;
  }
  // Fewer distinct rows than centroids: some are repeated.
  for (; done < k; ++done) {
    std::copy_n(rows.row(static_cast<std::int64_t>(random.below64(n))), rows.dim,
                centroids + done * rows.dim);
  }
}

}  // namespace

void seed_plus_plus(const FloatRows& rows, const double* weights, std::int64_t k,
                    std::uint64_t seed, int n_threads, float* centroids) {
  constexpr double kGreedyWork = 2e8;  // multiply-adds: about a tenth of a second
  const double work = static_cast<double>(rows.n) * static_cast<double>(k * rows.dim) *
                      (2.0 + std::log(static_cast<double>(k)));
  if (work < kGreedyWork) return seed_greedy(rows, weights, k, seed, n_threads, centroids);
  const std::int64_t wanted = std::max<std::int64_t>(kSeedRows * k, 4096);
  if (rows.n <= wanted) return seed_batches(rows, weights, k, seed, n_threads, centroids);
  std::vector<std::int64_t> chosen(static_cast<std::size_t>(wanted));
  draw_rows(rows.n, wanted, seed, kStreamSeedRows, chosen.data());
  std::vector<float> sample(static_cast<std::size_t>(wanted * rows.dim));
  std::vector<double> sample_weights(weights != nullptr ? chosen.size() : 0);
  for (std::int64_t i = 0; i < wanted; ++i) {
    std::copy_n(rows.row(chosen[i]), rows.dim, sample.data() + i * rows.dim);
    if (weights != nullptr) sample_weights[i] = weights[chosen[i]];
  }
  seed_batches({sample.data(), wanted, rows.dim},
               weights != nullptr ? sample_weights.data() : nullptr, k, seed, n_threads, centroids);
}

}  // namespace vl
