// SPDX-License-Identifier: Apache-2.0
// The k best rows of a scan over codes; formula in levels_search.h.
#include "compress/levels_search.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/threads.h"
#include "select/best.h"

namespace vl {
namespace {

// Up to so many queries are answered one after the other.
constexpr std::int64_t kFew = 4;
constexpr std::int64_t kTaskRows = 16384;
// Scores held at a time where queries are many.
constexpr std::int64_t kHeld = 1 << 22;

void to_unit(const float* from, std::int64_t dim, float* to) {
  double squares = 0;
  for (std::int64_t i = 0; i < dim; ++i) {
    squares += static_cast<double>(from[i]) * static_cast<double>(from[i]);
  }
  const double length = squares > 0 ? std::sqrt(squares) : 1.0;
  for (std::int64_t i = 0; i < dim; ++i) to[i] = static_cast<float>(from[i] / length);
}

// -|q - x|^2 = 2 <q, x> - |x|^2 - |q|^2
void to_distances(const float* norms, std::int64_t n, float squares, float* scores) {
  for (std::int64_t j = 0; j < n; ++j) {
    scores[j] = std::min(0.0F, 2.0F * scores[j] - norms[j] - squares);
  }
}

std::int64_t fill(const std::vector<BestOf::Place>& places, std::int64_t* positions,
                  double* scores) {
  for (std::size_t i = 0; i < places.size(); ++i) {
    positions[i] = places[i].at;
    scores[i] = static_cast<double>(places[i].score);
  }
  return static_cast<std::int64_t>(places.size());
}

void search_few(const LevelScan& scan, const float* queries, std::int64_t n_queries, std::int64_t k,
                std::int64_t* positions, double* scores, std::int64_t* counts, int n_jobs) {
  const std::int64_t dim = scan.codec->dim();
  const std::int64_t stride = scan.codec->row_bytes();
  const auto found = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(scan.n));
  BestOf best;
  for (std::int64_t q = 0; q < n_queries; ++q) {
    const LevelQuery query = scan.codec->prepare(queries + q * dim);
    parallel_for((scan.n + kTaskRows - 1) / kTaskRows, n_jobs, [&](std::int64_t task, int) {
      const std::int64_t at = task * kTaskRows;
      const std::int64_t count = std::min(kTaskRows, scan.n - at);
      float* to = found.get() + at;
      scan.codec->score(query, scan.codes + at * stride, stride, nullptr, count, false, to);
      if (scan.norms != nullptr) to_distances(scan.norms + at, count, query.squares, to);
    });
    const auto& places = best.choose(found.get(), scan.n, k, nullptr, scan.ties);
    counts[q] = fill(places, positions + q * k, scores + q * k);
  }
}

// Metrics as the codec names them; norms of rows that are not held are found on the way.
void search_many(const LevelScan& scan, const float* queries, std::int64_t n_queries,
                 std::int64_t k, std::int64_t* positions, double* scores, std::int64_t* counts,
                 int n_jobs) {
  const std::int64_t dim = scan.codec->dim();
  const int metric = scan.metric == Metric::kL2 ? 1 : 0;
  const std::int64_t step = std::clamp<std::int64_t>(kHeld / scan.n, 1, n_queries);
  const auto found = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(step) *
                                                             static_cast<std::size_t>(scan.n));
  for (std::int64_t at = 0; at < n_queries; at += step) {
    const std::int64_t count = std::min(step, n_queries - at);
    scan.codec->scores(queries + at * dim, count, scan.codes, scan.n, metric, false, found.get(),
                       n_jobs);
    parallel_for(count, n_jobs, [&](std::int64_t q, int) {
      BestOf best;
      const auto& places = best.choose(found.get() + q * scan.n, scan.n, k, nullptr, scan.ties);
      counts[at + q] = fill(places, positions + (at + q) * k, scores + (at + q) * k);
    });
  }
}

}  // namespace

void search_levels(const LevelScan& scan, const float* queries, std::int64_t n_queries,
                   std::int64_t k, std::int64_t* positions, double* scores, std::int64_t* counts,
                   int n_jobs) {
  const std::int64_t dim = scan.codec->dim();
  std::vector<float> scaled;
  if (scan.metric == Metric::kCosine) {
    scaled.resize(static_cast<std::size_t>(n_queries * dim));
    for (std::int64_t q = 0; q < n_queries; ++q) {
      to_unit(queries + q * dim, dim, scaled.data() + q * dim);
    }
    queries = scaled.data();
  }
  const bool few = n_queries <= kFew && (scan.metric != Metric::kL2 || scan.norms != nullptr);
  const auto search = few ? search_few : search_many;
  search(scan, queries, n_queries, k, positions, scores, counts, n_jobs);
}

}  // namespace vl
