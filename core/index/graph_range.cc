// SPDX-License-Identifier: Apache-2.0
// All rows within a range, by a walk that goes as far beyond the range as one for the nearest goes
// beyond the k-th of these.
//
// Codes order the nodes that it met, and rows decide: groups are scored, nearest codes first, down
// to the range itself and on until a group has no row within it. A walk that fills its buffer, or
// its budget, before its end has not seen all, and says so.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "index/graph_walk.h"
#include "index/scoring.h"

namespace vl {
namespace {

constexpr std::int64_t kNearest = 10;  // that a walk goes beyond in any case
constexpr std::int64_t kGroup = 32;    // nodes scored at once, and a quarter of the hits so far

}  // namespace

bool Graph::range_one(const Points& points, const GraphQuery& query, std::int64_t q, const float* y,
                      double least, Worker& worker) const {
  const float* values = static_cast<const float*>(query.queries) + q * points.rows().dim;
  const bool filtered = query.mask != nullptr;
  const std::int64_t effort = std::min(query.effort, n());
  prepare(points, query, q, y, kNearest, effort, worker);
  const Scorer scorer(points.rows(), points.norms(), points.metric(), values);
  const double square = points.square_at(least, scorer.query_norm());
  worker.edge = static_cast<float>(worker.half - 0.5 * square);
  enter(filtered ? &query : nullptr, worker);
  if (!(filtered ? walk<true>(&query, worker) : walk<false>(&query, worker))) return false;
  const WalkBuffer& kept = filtered ? worker.best : worker.buffer;
  const std::int64_t count = kept.count();
  if (count == effort && effort < n()) {
    if (!(kept.value(count - 1) < worker.floor(kept))) return false;
  }
  std::vector<Scored>& found = worker.found;
  found.clear();
  std::int64_t last = 0;
  while (last < count && kept.value(last) >= worker.edge) ++last;
  last = std::min(count, last + kGroup);
  std::size_t hits = 0;
  for (std::int64_t first = 0; first < last;) {
    score_nodes(scorer, points, query, first, last, worker);
    const auto outside = [&](const Scored& one) { return !(one.score >= least); };
    found.erase(
        std::remove_if(found.begin() + static_cast<std::ptrdiff_t>(hits), found.end(), outside),
        found.end());
    if (found.size() == hits) break;
    hits = found.size();
    first = last;
    last = std::min(count, last + std::max(kGroup, static_cast<std::int64_t>(hits / 4)));
  }
  std::sort(found.begin(), found.end(), better);
  return true;
}

RangeResult Graph::range(const Points& points, const GraphQuery& query, const double* least,
                         std::uint8_t* done) const {
  const auto n_queries = static_cast<std::size_t>(query.n_queries);
  std::vector<std::vector<Scored>> found(n_queries);
  each_query(points, query, [&](std::int64_t q, const float* y, Worker& worker) {
    const auto at = static_cast<std::size_t>(q);
    done[at] = range_one(points, query, q, y, least[at], worker) ? 1 : 0;
    if (done[at] != 0) found[at] = worker.found;
  });
  return joined(found);
}

}  // namespace vl
