// SPDX-License-Identifier: Apache-2.0
// Best-first search on the head codes, and the check of what it found against the stored rows.
//
// With a filter the walk goes through all nodes and keeps those that match apart; it ends by these
// alone, so that it costs about 1 / share of one without. What it may cost at most is its budget:
// a filter whose rows are far from the query leads nowhere, and an exact scan of them is cheaper.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/mapped.h"
#include "base/threads.h"
#include "index/graph_walk.h"
#include "index/scoring.h"

namespace vl {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kStarts = 8;           // entries a search begins with
constexpr int kMatchingStarts = 32;  // and those that match a filter: links may not lead to them
// A buffer of what a filter leaves is this much larger than its share would ask: matches come in
// groups.
constexpr double kSpare = 2.0;

// The best so far of what is offered.
template <int Most>
struct Starts {
  WalkPlace places[Most];
  int n = 0;
  bool takes(const WalkPlace& place) const {
    return n < Most || place.value > places[Most - 1].value;
  }
  void offer(const WalkPlace& place) {
    if (!takes(place)) return;
    int at = n < Most ? n++ : Most - 1;
    for (; at > 0 && places[at - 1].value < place.value; --at) places[at] = places[at - 1];
    places[at] = place;
  }
};

}  // namespace

bool Graph::matches(const GraphQuery& query, std::uint32_t node) const {
  std::int64_t position = *row_of_.of(node);
  if (query.mask[position] != 0) return true;
  if (twins_.empty()) return false;
  for (; position >= 0; position = position < twins_.n() ? *twins_.of(position) : -1) {
    if (query.mask[position] != 0) return true;
  }
  return false;
}

void Graph::enter(const GraphQuery* query, Worker& worker) const {
  const auto n_entries = static_cast<std::int64_t>(entries_.size());
  head_.score(nullptr, n_entries, entry_codes_.data(), worker.head, worker.values.data());
  Starts<kStarts> nearest;
  Starts<kMatchingStarts> matching;
  for (std::int64_t e = 0; e < n_entries; ++e) {
    const WalkPlace place = {worker.values[static_cast<std::size_t>(e)],
                             entries_[static_cast<std::size_t>(e)]};
    nearest.offer(place);
    if (query != nullptr && matching.takes(place) && matches(*query, place.node)) {
      matching.offer(place);
    }
  }
  for (int i = 0; i < nearest.n; ++i) start(query, nearest.places[i], worker);
  for (int i = 0; i < matching.n; ++i) start(query, matching.places[i], worker);
}

void Graph::start(const GraphQuery* query, const WalkPlace& place, Worker& worker) const {
  if (!worker.mark(place.node)) return;
  worker.buffer.insert(place.value, place.node);
  if (query != nullptr && matches(*query, place.node)) worker.best.insert(place.value, place.node);
}

// False where the budget ran out.
template <bool Filtered>
bool Graph::walk(const GraphQuery* query, Worker& worker) const {
  WalkBuffer& buffer = worker.buffer;
  const WalkBuffer& kept = Filtered ? worker.best : buffer;
  const std::int64_t width = links_.width();
  const std::int64_t stride = head_.stride();
  std::uint32_t node;
  for (;;) {
    float floor = worker.floor(kept);
    if (Filtered) floor = std::max(floor, kept.worst());
    if (!buffer.open(floor, node)) return true;
    const std::int64_t n = worker.mark(links_.of(node), width);
    for (std::int64_t j = 0; j < n; ++j) {
      const auto fresh = static_cast<std::uint32_t>(worker.nodes[static_cast<std::size_t>(j)]);
      const std::uint8_t* codes = head_.rows.of(fresh);
      for (std::int64_t b = 0; b < stride; b += 64) __builtin_prefetch(codes + b);
    }
    const std::uint32_t next = buffer.next();
    if (next != kNoNode) {
      const std::uint32_t* ahead = links_.of(next);
      for (std::int64_t j = 0; j < width; j += 16) __builtin_prefetch(ahead + j);
    }
    head_.score(worker.nodes.data(), n, head_.rows.data(), worker.head, worker.values.data());
    for (std::int64_t j = 0; j < n; ++j) {
      const float value = worker.values[static_cast<std::size_t>(j)];
      const auto found = static_cast<std::uint32_t>(worker.nodes[static_cast<std::size_t>(j)]);
      if (value < floor) continue;
      buffer.insert(value, found);
      if (Filtered && value > worker.best.worst() && matches(*query, found)) {
        worker.best.insert(value, found);
      }
    }
    if (query != nullptr && query->budget > 0 && worker.visited > query->budget) {
      return false;
    }
  }
}

template bool Graph::walk<false>(const GraphQuery*, Worker&) const;
template bool Graph::walk<true>(const GraphQuery*, Worker&) const;

void Graph::score_nodes(const Scorer& scorer, const Points& points, const GraphQuery& query,
                        std::int64_t first, std::int64_t last, Worker& worker) const {
  const WalkBuffer& buffer = query.mask != nullptr ? worker.best : worker.buffer;
  worker.rows.clear();
  for (std::int64_t i = first; i < last; ++i) {
    std::int64_t position = *row_of_.of(buffer.node(i));
    for (; position >= 0; position = position < twins_.n() ? *twins_.of(position) : -1) {
      if (query.mask == nullptr || query.mask[position] != 0) worker.rows.push_back(position);
    }
  }
  const auto n = static_cast<std::int64_t>(worker.rows.size());
  for (std::int64_t i = 0; query.on_disk && i < n; ++i) {
    will_need(points.rows().row(worker.rows[static_cast<std::size_t>(i)]), points.rows().stride());
  }
  worker.scores.resize(worker.rows.size());
  scorer.score(worker.rows.data(), n, worker.scores.data());
  for (std::size_t i = 0; i < worker.rows.size(); ++i) {
    const std::int64_t row = worker.rows[i];
    worker.found.push_back({worker.scores[i], query.ties != nullptr ? query.ties[row] : row, row});
  }
}

// Scores the best of the buffer from the rows, 2 k + 8 nodes at first, and then groups of k until
// one changes nothing among the k best. Where rows are too much alike for their codes that goes on
// to the end.
void Graph::check_rows(const Points& points, const GraphQuery& query, const void* values,
                       std::int64_t k, Worker& worker) const {
  const WalkBuffer& buffer = query.mask != nullptr ? worker.best : worker.buffer;
  const Scorer scorer(points.rows(), points.norms(), points.metric(), values);
  std::vector<Scored>& found = worker.found;
  found.clear();
  const std::int64_t count = buffer.count();
  std::int64_t last = std::min(count, 2 * k + 8);
  const auto kth = [&] { return found.begin() + static_cast<std::ptrdiff_t>(k - 1); };
  for (std::int64_t first = 0; first < last;) {
    const std::size_t before = found.size();
    const bool full = static_cast<std::int64_t>(before) >= k;
    const double worst = full ? kth()->score : -std::numeric_limits<double>::infinity();
    score_nodes(scorer, points, query, first, last, worker);
    bool changed = !full;
    for (std::size_t i = before; i < found.size(); ++i) {
      changed = changed || found[i].score > worst;
    }
    first = last;
    if (!changed) break;
    if (static_cast<std::int64_t>(found.size()) >= k) {
      std::nth_element(found.begin(), kth(), found.end(), better);
    }
    last = std::min(count, last + std::max<std::int64_t>(k, 8));
  }
}

void Graph::prepare(const Points& points, const GraphQuery& query, std::int64_t q, const float* y,
                    std::int64_t k, std::int64_t effort, Worker& worker) const {
  head_.prepare(y, worker.head);
  std::int64_t room = effort;
  if (query.mask != nullptr) {
    const double share = static_cast<double>(std::max<std::int64_t>(query.n_matches, 1)) /
                         static_cast<double>(points.n());
    room = static_cast<std::int64_t>(
        std::min(static_cast<double>(n()), kSpare * static_cast<double>(effort) / share));
    worker.best.start(effort);
  }
  worker.start(
      n(), std::max<std::size_t>(static_cast<std::size_t>(links_.width()), entries_.size()), room);
  worker.k = std::min(std::max<std::int64_t>(k, 10), effort);
  if (query.reach > 0.0F) {
    worker.half = 0.5F * worker.square;
    worker.reach2 = query.reach * query.reach;
  }
  if (query.without != nullptr) worker.mark(static_cast<std::uint32_t>(query.without[q]));
}

void Graph::search_one(const Points& points, const GraphQuery& query, std::int64_t q,
                       const float* y, std::int64_t k, Worker& worker, std::int64_t* positions,
                       double* scores, std::int64_t* count) const {
  const float* values = static_cast<const float*>(query.queries) + q * points.rows().dim;
  const bool filtered = query.mask != nullptr;
  prepare(points, query, q, y, k, std::min(std::max(query.effort, k), n()), worker);
  enter(filtered ? &query : nullptr, worker);
  *count = -1;
  if (!(filtered ? walk<true>(&query, worker) : walk<false>(nullptr, worker))) return;
  check_rows(points, query, values, k, worker);
  std::vector<Scored>& found = worker.found;
  const auto kept =
      static_cast<std::ptrdiff_t>(std::min(static_cast<std::size_t>(k), found.size()));
  std::partial_sort(found.begin(), found.begin() + kept, found.end(), better);
  for (std::ptrdiff_t i = 0; i < kept; ++i) {
    positions[i] = found[static_cast<std::size_t>(i)].row;
    scores[i] = found[static_cast<std::size_t>(i)].score;
  }
  *count = kept;
}

void Graph::search(const Points& points, const GraphQuery& query, std::int64_t k,
                   std::int64_t* positions, double* scores, std::int64_t* counts) const {
  std::fill_n(positions, query.n_queries * k, std::int64_t{-1});
  std::fill_n(scores, query.n_queries * k, -std::numeric_limits<double>::infinity());
  std::fill_n(counts, query.n_queries, std::int64_t{0});
  if (k == 0 || n() == 0) return;
  each_query(points, query, [&](std::int64_t q, const float* y, Worker& worker) {
    search_one(points, query, q, y, k, worker, positions + q * k, scores + q * k, counts + q);
  });
}

}  // namespace vl
