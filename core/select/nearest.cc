// SPDX-License-Identifier: Apache-2.0
#include "select/nearest.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "simd/pair.h"

namespace vl {
namespace {

constexpr std::int64_t kBlock = 256;  // rows of one task

class DirectNearest final : public Nearest {
 public:
  DirectNearest(const FloatRows& rows, int n_threads) : rows_(rows), n_threads_(n_threads) {}

  void improve(const float* centroids, std::int64_t k, std::int32_t first, std::int32_t* labels,
               double* squared) override {
    const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
    parallel_for((rows_.n + kBlock - 1) / kBlock, n_threads_, [&](std::int64_t task, int) {
      std::vector<double> distances(static_cast<std::size_t>(k));
      const std::int64_t last = std::min(rows_.n, (task + 1) * kBlock);
      for (std::int64_t r = task * kBlock; r < last; ++r) {
        poll_interrupt();
        l2(rows_.row(r), centroids, nullptr, k, rows_.dim, distances.data());
        const auto best = std::min_element(distances.begin(), distances.end());
        if (*best < squared[r]) {
          squared[r] = *best;
          labels[r] = first + static_cast<std::int32_t>(best - distances.begin());
        }
      }
    });
  }

  void move(const float* centroids, std::int64_t k, std::int32_t* labels) override {
    std::vector<double> squared(static_cast<std::size_t>(rows_.n),
                                std::numeric_limits<double>::infinity());
    improve(centroids, k, 0, labels, squared.data());
  }

 private:
  FloatRows rows_;
  int n_threads_;
};

}  // namespace

std::unique_ptr<Nearest> make_direct_nearest(const FloatRows& rows, int n_threads) {
  return std::make_unique<DirectNearest>(rows, n_threads);
}

std::unique_ptr<Nearest> make_nearest(const FloatRows& rows, std::int64_t k, int n_threads) {
  constexpr std::int64_t kFew = 4;  // centroids
  if (k <= kFew) return make_direct_nearest(rows, n_threads);
  constexpr std::int64_t kLaneDims = 16;
  if (rows.dim <= kLaneDims) return make_lane_nearest(rows, n_threads);
  return make_screen_nearest(rows, n_threads);
}

void own_distances(const FloatRows& rows, const float* centroids, const std::int32_t* labels,
                   int n_threads, double* squared) {
  constexpr std::int64_t kRows = 4096;
  const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
  parallel_for((rows.n + kRows - 1) / kRows, n_threads, [&](std::int64_t task, int) {
    const std::int64_t last = std::min(rows.n, (task + 1) * kRows);
    for (std::int64_t r = task * kRows; r < last; ++r) {
      l2(rows.row(r), centroids + labels[r] * rows.dim, nullptr, 1, rows.dim, squared + r);
    }
  });
}

}  // namespace vl
