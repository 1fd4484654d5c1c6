// SPDX-License-Identifier: Apache-2.0
#include "select/means.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace vl {
namespace {

constexpr std::int64_t kSumRows = 2048;      // rows whose sum is one partial sum
constexpr std::int64_t kTaskEntries = 2048;  // about so many rows are added by one task

void add_row(const float* row, const double* center, double weight, std::int64_t dim, double* sum) {
  for (std::int64_t d = 0; d < dim; ++d) {
    sum[d] += weight * (static_cast<double>(row[d]) - center[d]);
  }
}

}  // namespace

// Sums are taken around the mean of all rows: that of a cluster is then small against its squares,
// and inertia() loses no digits to a common offset.
Means::Means(const FloatRows& rows, const double* weights, std::int64_t k, int n_threads)
    : rows_(rows), weights_(weights), k_(k), n_threads_(n_threads) {
  const std::int64_t dim = rows.dim;
  center_.assign(static_cast<std::size_t>(dim), 0.0);
  labels_.assign(static_cast<std::size_t>(rows.n), -1);
  counts_.assign(static_cast<std::size_t>(k), 0);
  mass_.assign(static_cast<std::size_t>(k), 0.0);
  sums_.assign(static_cast<std::size_t>(k * dim), 0.0);
  const std::int64_t blocks = (rows.n + kSumRows - 1) / kSumRows;
  std::vector<double> partial(static_cast<std::size_t>(blocks * dim), 0.0);
  std::vector<double> masses(static_cast<std::size_t>(blocks), 0.0);
  const auto over_blocks = [&](auto&& body) {
    parallel_for(blocks, n_threads_, [&](std::int64_t b, int) {
      for (std::int64_t r = b * kSumRows; r < std::min(rows.n, (b + 1) * kSumRows); ++r) body(b, r);
    });
  };
  over_blocks([&](std::int64_t b, std::int64_t r) {
    const double weight = weights != nullptr ? weights[r] : 1.0;
    masses[b] += weight;
    add_row(rows.row(r), center_.data(), weight, dim, partial.data() + b * dim);
  });
  for (const double mass : masses) total_ += mass;
  if (!(total_ > 0.0)) return;
  for (std::int64_t d = 0; d < dim; ++d) {
    double sum = 0.0;
    for (std::int64_t b = 0; b < blocks; ++b) sum += partial[b * dim + d];
    center_[d] = sum / total_;
  }
  std::fill(masses.begin(), masses.end(), 0.0);
  over_blocks([&](std::int64_t b, std::int64_t r) {
    const float* row = rows.row(r);
    double lanes[4] = {0.0, 0.0, 0.0, 0.0};  // four sums, so that additions overlap
    std::int64_t d = 0;
    for (; d + 4 <= dim; d += 4) {
      for (int i = 0; i < 4; ++i) {
        const double x = static_cast<double>(row[d + i]) - center_[d + i];
        lanes[i] += x * x;
      }
    }
    for (; d < dim; ++d) {
      const double x = static_cast<double>(row[d]) - center_[d];
      lanes[0] += x * x;
    }
    masses[b] +=
        (weights != nullptr ? weights[r] : 1.0) * ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));
  });
  for (const double square : masses) squares_ += square;
}

// Entries are rows to add, or ~row to take away, sorted by cluster and then by row.
void Means::add(const std::vector<std::int64_t>& entries, const std::vector<std::int64_t>& starts) {
  std::vector<std::int64_t> tasks{0};  // first cluster of each task
  for (std::int64_t c = 0; c < k_; ++c) {
    if (starts[c + 1] - starts[tasks.back()] >= kTaskEntries) tasks.push_back(c + 1);
  }
  if (tasks.back() != k_) tasks.push_back(k_);
  parallel_for(static_cast<std::int64_t>(tasks.size()) - 1, n_threads_, [&](std::int64_t t, int) {
    for (std::int64_t c = tasks[t]; c < tasks[t + 1]; ++c) {
      double* sum = sums_.data() + c * rows_.dim;
      for (std::int64_t e = starts[c]; e < starts[c + 1]; ++e) {
        const std::int64_t r = entries[e] < 0 ? ~entries[e] : entries[e];
        const double sign = entries[e] < 0 ? -1.0 : 1.0;
        const double weight = sign * (weights_ != nullptr ? weights_[r] : 1.0);
        counts_[c] += entries[e] < 0 ? -1 : 1;
        mass_[c] += weight;
        add_row(rows_.row(r), center_.data(), weight, rows_.dim, sum);
      }
      if (counts_[c] == 0) {  // what rounding left behind
        mass_[c] = 0.0;
        std::fill_n(sum, rows_.dim, 0.0);
      }
    }
  });
}

std::int64_t Means::update(const std::int32_t* labels) {
  std::int64_t changed = 0;
  for (std::int64_t r = 0; r < rows_.n; ++r) changed += labels[r] != labels_[r] ? 1 : 0;
  if (changed == 0) return 0;
  const bool fresh = 2 * changed > rows_.n;  // then adding all anew is less work
  if (fresh) {
    std::fill(counts_.begin(), counts_.end(), 0);
    std::fill(mass_.begin(), mass_.end(), 0.0);
    std::fill(sums_.begin(), sums_.end(), 0.0);
  }
  std::vector<std::int64_t> starts(static_cast<std::size_t>(k_) + 1, 0);
  for (std::int64_t r = 0; r < rows_.n; ++r) {
    if (fresh || labels[r] != labels_[r]) {
      ++starts[labels[r] + 1];
      if (!fresh && labels_[r] >= 0) ++starts[labels_[r] + 1];
    }
  }
  for (std::int64_t c = 0; c < k_; ++c) starts[c + 1] += starts[c];
  std::vector<std::int64_t> next(starts.begin(), starts.end() - 1);
  std::vector<std::int64_t> entries(static_cast<std::size_t>(starts[k_]));
  for (std::int64_t r = 0; r < rows_.n; ++r) {
    if (fresh || labels[r] != labels_[r]) {
      if (!fresh && labels_[r] >= 0) entries[next[labels_[r]]++] = ~r;
      entries[next[labels[r]]++] = r;
    }
  }
  add(entries, starts);
  std::copy_n(labels, rows_.n, labels_.begin());
  return changed;
}

void Means::fill_empty(float* centroids, std::int32_t* labels) {
  std::vector<std::int32_t> empty;
  for (std::int64_t c = 0; c < k_; ++c) {
    if (counts_[c] == 0) empty.push_back(static_cast<std::int32_t>(c));
  }
  if (empty.empty()) return;
  std::vector<double> squared(static_cast<std::size_t>(rows_.n));
  own_distances(rows_, centroids, labels, n_threads_, squared.data());
  std::vector<std::int64_t> farthest(static_cast<std::size_t>(rows_.n));
  for (std::int64_t r = 0; r < rows_.n; ++r) farthest[r] = r;
  // Some rows are passed over below, so a few more than are wanted.
  const auto wanted = std::min<std::int64_t>(rows_.n, 2 * std::ssize(empty) + 16);
  std::partial_sort(farthest.begin(), farthest.begin() + wanted, farthest.end(),
                    [&](std::int64_t a, std::int64_t b) {
                      return squared[a] != squared[b] ? squared[a] > squared[b] : a < b;
                    });
  std::vector<std::int64_t> left = counts_;
  std::size_t filled = 0;
  for (std::int64_t i = 0; i < wanted && filled < empty.size(); ++i) {
    const std::int64_t r = farthest[i];
    if (!(squared[r] > 0.0)) break;
    if (left[labels[r]] < 2 || (weights_ != nullptr && !(weights_[r] > 0.0))) continue;
    --left[labels[r]];
    std::copy_n(rows_.row(r), rows_.dim, centroids + empty[filled] * rows_.dim);
    labels[r] = empty[filled++];
  }
  update(labels);
}

double Means::write(double relaxation, bool spherical, float* centroids) const {
  std::vector<double> moves(static_cast<std::size_t>(k_), 0.0);
  constexpr std::int64_t kClusters = 64;
  parallel_for((k_ + kClusters - 1) / kClusters, n_threads_, [&](std::int64_t task, int) {
    std::vector<double> next(static_cast<std::size_t>(rows_.dim));
    for (std::int64_t c = task * kClusters; c < std::min(k_, (task + 1) * kClusters); ++c) {
      if (counts_[c] == 0 || !(mass_[c] > 0.0)) continue;
      const double* sum = sums_.data() + c * rows_.dim;
      float* out = centroids + c * rows_.dim;
      double square = 0.0;
      for (std::int64_t d = 0; d < rows_.dim; ++d) {
        const double old = static_cast<double>(out[d]);
        const double mean = center_[d] + sum[d] / mass_[c];
        next[d] = relaxation == 1.0 ? mean : old + relaxation * (mean - old);
        square += next[d] * next[d];
      }
      if (spherical && !(square > 0.0)) continue;
      const double factor = spherical ? 1.0 / std::sqrt(square) : 1.0;
      for (std::int64_t d = 0; d < rows_.dim; ++d) {
        const auto value = static_cast<float>(factor * next[d]);
        const double move = static_cast<double>(value) - static_cast<double>(out[d]);
        moves[c] += move * move;
        out[d] = value;
      }
    }
  });
  double moved = 0.0;
  for (const double move : moves) moved += move;
  return moved;
}

// With z = center and m_c the mean of cluster c:
//   sum w |x - c|^2 = sum w |x - z|^2 + sum_c mass_c (|m_c - c|^2 - |m_c - z|^2).
double Means::inertia(const float* centroids) const {
  double gain = 0.0;
  for (std::int64_t c = 0; c < k_; ++c) {
    if (!(mass_[c] > 0.0)) continue;
    const double* sum = sums_.data() + c * rows_.dim;
    double square = 0.0;
    for (std::int64_t d = 0; d < rows_.dim; ++d) {
      const double mean = sum[d] / mass_[c];
      const double left = mean + center_[d] - static_cast<double>(centroids[c * rows_.dim + d]);
      square += mean * mean - left * left;
    }
    gain += mass_[c] * square;
  }
  return std::max(0.0, squares_ - gain);
}

std::int64_t Means::used() const {
  std::int64_t used = 0;
  for (const std::int64_t count : counts_) used += count > 0 ? 1 : 0;
  return used;
}

double Means::mean_variance() const {
  return total_ > 0.0 ? squares_ / (total_ * static_cast<double>(rows_.dim)) : 0.0;
}

}  // namespace vl
