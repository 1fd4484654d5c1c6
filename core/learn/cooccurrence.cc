// SPDX-License-Identifier: Apache-2.0
#include "learn/cooccurrence.h"

#include <algorithm>

#include "base/threads.h"

namespace vl {
namespace {

constexpr std::int64_t kRowsATask = 64;

// Where each word stands: a counting sort of the tokens.
struct Places {
  std::vector<std::int64_t> offsets;
  std::vector<std::int64_t> at;
};

Places places_of(std::span<const std::int32_t> tokens, std::int64_t n_words) {
  Places places;
  places.offsets.assign(static_cast<std::size_t>(n_words) + 1, 0);
  for (const std::int32_t token : tokens) {
    if (token >= 0) ++places.offsets[static_cast<std::size_t>(token) + 1];
  }
  for (std::size_t w = 1; w < places.offsets.size(); ++w) {
    places.offsets[w] += places.offsets[w - 1];
  }
  places.at.resize(static_cast<std::size_t>(places.offsets.back()));
  std::vector<std::int64_t> next(places.offsets.begin(), places.offsets.end() - 1);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] < 0) continue;
    const auto word = static_cast<std::size_t>(tokens[t]);
    places.at[static_cast<std::size_t>(next[word]++)] = static_cast<std::int64_t>(t);
  }
  return places;
}

std::vector<float> weights_of(int window, PairWeight weight) {
  std::vector<float> weights(static_cast<std::size_t>(window) + 1, 1.0f);
  for (int d = 1; d <= window; ++d) {
    float& w = weights[static_cast<std::size_t>(d)];
    if (weight == PairWeight::kHarmonic) w = 1.0f / static_cast<float>(d);
    if (weight == PairWeight::kLinear) {
      w = static_cast<float>(window + 1 - d) / static_cast<float>(window);
    }
  }
  return weights;
}

// One row at a time, in a dense array that is cleared after it.
class RowCounter {
 public:
  void add(std::int32_t word, float weight) {
    float& sum = sums_[static_cast<std::size_t>(word)];
    if (sum == 0.0f) touched_.push_back(word);
    sum += weight;
  }
  void prepare(std::int64_t n_words) { sums_.resize(static_cast<std::size_t>(n_words), 0.0f); }
  void take(std::vector<std::int32_t>& columns, std::vector<float>& values) {
    std::sort(touched_.begin(), touched_.end());
    for (const std::int32_t word : touched_) {
      columns.push_back(word);
      values.push_back(sums_[static_cast<std::size_t>(word)]);
      sums_[static_cast<std::size_t>(word)] = 0.0f;
    }
    touched_.clear();
  }

 private:
  std::vector<float> sums_;
  std::vector<std::int32_t> touched_;
};

void count_around(std::span<const std::int32_t> tokens, std::int64_t place,
                  const std::vector<float>& weights, RowCounter& row) {
  const auto window = static_cast<std::int64_t>(weights.size()) - 1;
  const auto n = static_cast<std::int64_t>(tokens.size());
  for (std::int64_t d = 1; d <= window && place - d >= 0; ++d) {
    const std::int32_t token = tokens[static_cast<std::size_t>(place - d)];
    if (token < 0) break;
    row.add(token, weights[static_cast<std::size_t>(d)]);
  }
  for (std::int64_t d = 1; d <= window && place + d < n; ++d) {
    const std::int32_t token = tokens[static_cast<std::size_t>(place + d)];
    if (token < 0) break;
    row.add(token, weights[static_cast<std::size_t>(d)]);
  }
}

}  // namespace

SparseCounts cooccurrence(std::span<const std::int32_t> tokens, std::int64_t n_words, int window,
                          PairWeight weight, int n_jobs) {
  struct Part {
    std::vector<std::int64_t> sizes;
    std::vector<std::int32_t> columns;
    std::vector<float> values;
  };
  const Places places = places_of(tokens, n_words);
  const std::vector<float> weights = weights_of(window, weight);
  const std::int64_t n_tasks = (n_words + kRowsATask - 1) / kRowsATask;
  const int threads = resolve_jobs(n_jobs);
  std::vector<Part> parts(static_cast<std::size_t>(n_tasks));
  std::vector<RowCounter> rows(static_cast<std::size_t>(threads));
  parallel_for(n_tasks, threads, [&](std::int64_t task, int worker) {
    Part& part = parts[static_cast<std::size_t>(task)];
    RowCounter& row = rows[static_cast<std::size_t>(worker)];
    row.prepare(n_words);
    const std::int64_t last = std::min(n_words, (task + 1) * kRowsATask);
    for (std::int64_t w = task * kRowsATask; w < last; ++w) {
      const auto word = static_cast<std::size_t>(w);
      for (std::int64_t k = places.offsets[word]; k < places.offsets[word + 1]; ++k) {
        if (k % 4096 == 0) poll_interrupt();
        count_around(tokens, places.at[static_cast<std::size_t>(k)], weights, row);
      }
      row.take(part.columns, part.values);
      part.sizes.push_back(static_cast<std::int64_t>(part.columns.size()));
    }
  });
  SparseCounts counts;
  counts.offsets.push_back(0);
  for (Part& part : parts) {
    const std::int64_t base = counts.offsets.back();
    for (const std::int64_t size : part.sizes) counts.offsets.push_back(base + size);
    counts.columns.insert(counts.columns.end(), part.columns.begin(), part.columns.end());
    counts.values.insert(counts.values.end(), part.values.begin(), part.values.end());
    part = Part{};
  }
  return counts;
}

}  // namespace vl
