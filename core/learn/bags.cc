// SPDX-License-Identifier: Apache-2.0
#include "learn/bags.h"

#include <algorithm>
#include <cmath>

#include "base/threads.h"

namespace vl {
namespace {

constexpr std::int64_t kEntriesATask = 2048;

void add_scaled(float* __restrict sum, const float* __restrict row, float scale, std::int64_t dim) {
  for (std::int64_t d = 0; d < dim; ++d) sum[d] += scale * row[d];
}

double square_length(const float* values, std::int64_t dim) {
  double lanes[8] = {};
  std::int64_t d = 0;
  for (; d + 8 <= dim; d += 8) {
    for (int l = 0; l < 8; ++l) lanes[l] += static_cast<double>(values[d + l]) * values[d + l];
  }
  double sum = 0.0;
  for (; d < dim; ++d) sum += static_cast<double>(values[d]) * values[d];
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

void Bag::add(const NgramRows& ngrams, std::int64_t begin, std::int64_t end) {
  const std::size_t n_sizes = ngrams.sizes.size();
  for (std::int64_t p = begin; p < end; ++p) {
    for (std::size_t s = 0; s < n_sizes; ++s) {
      if (p + ngrams.sizes[s] > end) continue;
      const std::int32_t row = ngrams.rows[static_cast<std::size_t>(p) * n_sizes + s];
      if (row >= 0) rows.push_back(row);
    }
  }
}

void Bag::weigh(BagWeight kind) {
  std::sort(rows.begin(), rows.end());
  weights.clear();
  const auto total = static_cast<float>(rows.size());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < rows.size();) {
    std::size_t j = i + 1;
    while (j < rows.size() && rows[j] == rows[i]) ++j;
    const auto times = static_cast<float>(j - i);
    rows[kept++] = rows[i];
    weights.push_back(kind == BagWeight::kLog ? 1.0f + std::log(times) : times / total);
    i = j;
  }
  rows.resize(kept);
}

void gather(const float* table, std::int64_t dim, const Bag& bag, float* sum) {
  std::fill(sum, sum + dim, 0.0f);
  for (std::size_t i = 0; i < bag.rows.size(); ++i) {
    add_scaled(sum, table + bag.rows[i] * dim, bag.weights[i], dim);
  }
}

void RowDescent::step(std::span<const Bag> bags, const float* gradients, std::int64_t dim,
                      float rate, float* table, float* squares, int n_threads) {
  entries_.clear();
  for (std::size_t b = 0; b < bags.size(); ++b) {
    for (std::size_t i = 0; i < bags[b].rows.size(); ++i) {
      entries_.push_back({bags[b].rows[i], static_cast<std::int32_t>(b), bags[b].weights[i]});
    }
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.row != b.row ? a.row < b.row : a.bag < b.bag;
  });
  const auto n = static_cast<std::int64_t>(entries_.size());
  const auto row_at = [&](std::int64_t e) { return entries_[static_cast<std::size_t>(e)].row; };
  // A task begins at the first row that begins within it.
  const auto start_of = [&](std::int64_t task) {
    std::int64_t e = std::min(n, task * kEntriesATask);
    while (e > 0 && e < n && row_at(e) == row_at(e - 1)) ++e;
    return e;
  };
  sums_.resize(static_cast<std::size_t>(std::max(n_threads, 1)));
  parallel_for((n + kEntriesATask - 1) / kEntriesATask, n_threads,
               [&](std::int64_t task, int worker) {
                 std::vector<float>& sum = sums_[static_cast<std::size_t>(worker)];
                 sum.resize(static_cast<std::size_t>(dim));
                 const std::int64_t end = start_of(task + 1);
                 for (std::int64_t e = start_of(task); e < end;) {
                   const std::int64_t row = row_at(e);
                   std::fill(sum.begin(), sum.end(), 0.0f);
                   for (; e < end && row_at(e) == row; ++e) {
                     const Entry& entry = entries_[static_cast<std::size_t>(e)];
                     add_scaled(sum.data(), gradients + entry.bag * dim, entry.weight, dim);
                   }
                   const double length = square_length(sum.data(), dim);
                   if (length == 0.0) continue;
                   squares[row] += static_cast<float>(length);
                   const float step = rate / std::sqrt(squares[row]);
                   add_scaled(table + row * dim, sum.data(), -step, dim);
                 }
               });
}

}  // namespace vl
