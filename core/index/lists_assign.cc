// SPDX-License-Identifier: Apache-2.0
#include "index/lists_assign.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "linalg/turn.h"

namespace vl {
namespace {

float square_of(const float* x, std::int64_t dim) {
  float sums[16] = {};
  std::int64_t d = 0;
  for (; d + 16 <= dim; d += 16) {
    for (int j = 0; j < 16; ++j) sums[j] += x[d + j] * x[d + j];
  }
  for (; d < dim; ++d) sums[0] += x[d] * x[d];
  float sum = 0.0F;
  for (const float one : sums) sum += one;
  return sum;
}

// Products in bfloat16 cannot tell a row from its centroid; this can.
float distance_of(const float* x, const float* y, std::int64_t dim) {
  float sums[16] = {};
  std::int64_t d = 0;
  for (; d + 16 <= dim; d += 16) {
    for (int j = 0; j < 16; ++j) sums[j] += (x[d + j] - y[d + j]) * (x[d + j] - y[d + j]);
  }
  for (; d < dim; ++d) sums[0] += (x[d] - y[d]) * (x[d] - y[d]);
  float sum = 0.0F;
  for (const float one : sums) sum += one;
  return sum;
}

// Where the smallest value first is.
std::int32_t smallest(const float* values, std::int64_t n) {
  constexpr int kWidth = 16;  // minima side by side, which compilers keep in vector registers
  float least[kWidth];
  std::fill_n(least, kWidth, std::numeric_limits<float>::infinity());
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    for (int j = 0; j < kWidth; ++j) least[j] = values[i + j] < least[j] ? values[i + j] : least[j];
  }
  for (; i < n; ++i) least[0] = std::min(least[0], values[i]);
  const float all = *std::min_element(least, least + kWidth);
  return static_cast<std::int32_t>(std::find(values, values + n, all) - values);
}

}  // namespace

void assign_lists(const float* rows, std::int64_t n, const float* centroids, std::int64_t n_lists,
                  std::int64_t dim, float weight, int n_jobs, std::int32_t* labels,
                  std::int32_t* others) {
  const std::vector<float> origin(static_cast<std::size_t>(dim), 0.0F);
  const Turn turn(centroids, n_lists, dim, origin.data());
  const auto lists = static_cast<std::size_t>(n_lists);
  std::vector<float> squares(lists);
  for (std::size_t j = 0; j < lists; ++j)
    squares[j] = square_of(centroids + static_cast<std::int64_t>(j) * dim, dim);
  const std::int64_t n_blocks = (n_lists + kTurnRows - 1) / kTurnRows;
  std::vector<float> gram(others != nullptr ? lists * lists : 0);
  parallel_for(others != nullptr ? n_blocks : 0, resolve_jobs(n_jobs), [&](std::int64_t b, int) {
    Turn::Scratch scratch = turn.scratch();
    const std::int64_t first = b * kTurnRows;
    const auto count = static_cast<int>(std::min<std::int64_t>(kTurnRows, n_lists - first));
    turn.apply(centroids + first * dim, count, scratch);
    for (int i = 0; i < count; ++i)
      std::copy_n(scratch.out.data() + i * turn.stride(), n_lists,
                  gram.data() + (first + i) * n_lists);
  });
  constexpr std::int64_t kTask = 16 * kTurnRows;
  parallel_for((n + kTask - 1) / kTask, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    Turn::Scratch scratch = turn.scratch();
    std::vector<float> loss(lists);
    const std::int64_t last = std::min(n, (task + 1) * kTask);
    for (std::int64_t first = task * kTask; first < last; first += kTurnRows) {
      const auto count = static_cast<int>(std::min<std::int64_t>(kTurnRows, last - first));
      turn.apply(rows + first * dim, count, scratch);
      for (int i = 0; i < count; ++i) {
        const float* dots = scratch.out.data() + i * turn.stride();
        for (std::size_t j = 0; j < lists; ++j) loss[j] = squares[j] - 2.0F * dots[j];
        const std::int32_t nearest = smallest(loss.data(), n_lists);
        labels[first + i] = nearest;
        if (others == nullptr) continue;
        others[first + i] = -1;
        const float square = square_of(rows + (first + i) * dim, dim);
        const float residual =
            distance_of(rows + (first + i) * dim, centroids + nearest * dim, dim);
        if (n_lists < 2 || !(residual > 1e-6F * square)) continue;
        const float* own = gram.data() + static_cast<std::int64_t>(nearest) * n_lists;
        const float along = square - dots[nearest];  // r . x
        const float factor = weight / residual;
        for (std::size_t j = 0; j < lists; ++j) {
          const float shared = along - dots[j] + own[j];
          loss[j] += factor * shared * shared;
        }
        loss[static_cast<std::size_t>(nearest)] = std::numeric_limits<float>::infinity();
        others[first + i] = smallest(loss.data(), n_lists);
      }
    }
  });
}

}  // namespace vl
