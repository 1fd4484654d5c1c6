// SPDX-License-Identifier: Apache-2.0
#include "learn/word_sampling.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace vl {
namespace {

constexpr double kFull = 4294967295.0;  // 2^32 - 1

}  // namespace

AliasTable::AliasTable(const std::vector<double>& weights) : slots_(weights.size()) {
  const std::size_t n = weights.size();
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> share(n);
  std::vector<std::size_t> small;
  std::vector<std::size_t> large;
  for (std::size_t i = 0; i < n; ++i) {
    share[i] = total > 0.0 ? weights[i] * static_cast<double>(n) / total : 1.0;
    (share[i] < 1.0 ? small : large).push_back(i);
  }
  while (!small.empty() && !large.empty()) {
    const std::size_t low = small.back();
    const std::size_t high = large.back();
    small.pop_back();
    slots_[low] = {static_cast<std::uint32_t>(share[low] * kFull), static_cast<std::int32_t>(high)};
    share[high] -= 1.0 - share[low];
    if (share[high] < 1.0) {
      large.pop_back();
      small.push_back(high);
    }
  }
  // What rounding left over is full.
  for (const std::vector<std::size_t>* rest : {&small, &large}) {
    for (const std::size_t i : *rest) slots_[i] = {UINT32_MAX, static_cast<std::int32_t>(i)};
  }
}

AliasTable noise_words(std::span<const std::int64_t> counts, double exponent) {
  std::vector<double> weights(counts.size());
  std::transform(counts.begin(), counts.end(), weights.begin(), [exponent](std::int64_t count) {
    return std::pow(static_cast<double>(count), exponent);
  });
  return AliasTable(weights);
}

std::vector<std::uint32_t> keep_limits(std::span<const std::int64_t> counts, double sample) {
  std::vector<std::uint32_t> limits(counts.size(), UINT32_MAX);
  if (sample <= 0.0) return limits;
  const double total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  for (std::size_t w = 0; w < counts.size(); ++w) {
    const double ratio = sample * total / static_cast<double>(counts[w]);
    const double share = std::sqrt(ratio) + ratio;
    if (share < 1.0) limits[w] = static_cast<std::uint32_t>(share * kFull);
  }
  return limits;
}

WordTree word_tree(std::span<const std::int64_t> counts) {
  const auto n = static_cast<std::int32_t>(counts.size());
  using Item = std::pair<std::int64_t, std::int32_t>;  // count, node: ties go to the lower node
  std::vector<Item> leaves;
  leaves.reserve(counts.size());
  for (std::int32_t w = 0; w < n; ++w) leaves.emplace_back(counts[static_cast<std::size_t>(w)], w);
  std::priority_queue<Item, std::vector<Item>, std::greater<>> queue(std::greater<>{},
                                                                     std::move(leaves));
  std::vector<std::int32_t> parent(counts.size() * 2, -1);
  std::vector<std::uint8_t> left(counts.size() * 2, 0);
  std::int32_t next = n;
  while (queue.size() > 1) {
    const Item a = queue.top();
    queue.pop();
    const Item b = queue.top();
    queue.pop();
    parent[static_cast<std::size_t>(a.second)] = parent[static_cast<std::size_t>(b.second)] = next;
    left[static_cast<std::size_t>(a.second)] = 1;
    queue.emplace(a.first + b.first, next++);
  }
  WordTree tree;
  tree.offsets.push_back(0);
  for (std::int32_t w = 0; w < n; ++w) {
    const std::size_t begin = tree.nodes.size();
    for (std::int32_t at = w; parent[static_cast<std::size_t>(at)] >= 0;
         at = parent[static_cast<std::size_t>(at)]) {
      tree.nodes.push_back(parent[static_cast<std::size_t>(at)] - n);
      tree.labels.push_back(left[static_cast<std::size_t>(at)] != 0 ? 1.0f : 0.0f);
    }
    std::reverse(tree.nodes.begin() + static_cast<std::ptrdiff_t>(begin), tree.nodes.end());
    std::reverse(tree.labels.begin() + static_cast<std::ptrdiff_t>(begin), tree.labels.end());
    tree.offsets.push_back(static_cast<std::int64_t>(tree.nodes.size()));
  }
  return tree;
}

}  // namespace vl
