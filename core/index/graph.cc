// SPDX-License-Identifier: Apache-2.0
#include "index/graph.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/threads.h"
#include "index/graph_walk.h"
#include "index/twins.h"
#include "select/kmeans.h"

namespace vl {
namespace {

constexpr std::size_t kMostEntries = 1024;
constexpr std::int64_t kBlock = 1024;

// Seconds since the last call.
class Clock {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double passed = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return passed;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

Graph::Graph(const Points& points, const float* matrix, std::int64_t m, const float* origin,
             const GraphOptions& options)
    : dim_(points.dim()), space_(matrix, m, dim_, origin) {
  const int n_threads = resolve_jobs(options.n_jobs);
  const std::int64_t n_rows = points.n();
  Clock clock;
  Scratch scratch(options.folder, options.room);
  ScratchBuffer<float> copied;
  const float* values = points.in_place();
  if (values == nullptr) {
    copied = ScratchBuffer<float>(static_cast<std::size_t>(n_rows * dim_), scratch);
    parallel_for((n_rows + kBlock - 1) / kBlock, n_threads, [&](std::int64_t task, int) {
      for (std::int64_t r = task * kBlock; r < std::min(n_rows, (task + 1) * kBlock); ++r) {
        points.row(r, copied.data() + r * dim_);
      }
    });
    values = copied.data();
  }
  const std::vector<std::int32_t> first = first_twins(points, 0, n_rows, n_threads);
  GraphLists lists = graph_lists(values, n_rows, dim_, first, options, n_threads);
  times_.cluster = clock.lap();
  BlockCodes block;
  head_.dim = options.head_dim;
  head_.bits = options.head_bits;
  encode_graph_rows(values, dim_, space_, lists.row_of, lists.first, n_threads, scratch, block,
                    head_);
  times_.encode = clock.lap();
  const std::int64_t n = lists.row_of.n();
  const std::int64_t k = options.candidates;
  ScratchBuffer<Neighbour> candidates(static_cast<std::size_t>(n * k), scratch);
  graph_candidates(lists, block, k, n_threads, candidates.data());
  times_.knn = clock.lap();
  const int first_degree = options.refined > 0 ? options.first_degree : options.degree;
  links_ = Adjacency(n, first_degree);
  graph_prune(block, candidates.data(), k, first_degree, options.alpha, n_threads, scratch, links_,
              times_);
  if (options.refined > 0) {
    row_of_ = std::move(lists.row_of);  // a walk asks how many nodes there are
    const std::int64_t n_candidates = options.refined;
    candidates.clear();
    candidates = ScratchBuffer<Neighbour>(static_cast<std::size_t>(n * n_candidates), scratch);
    clock.lap();
    refine(block, n_candidates, n_threads, candidates.data());
    times_.refine = clock.lap();
    lists.row_of = std::move(row_of_);
    links_ = Adjacency();  // so that two are not there at once
    links_ = Adjacency(n, options.degree);
    graph_prune(block, candidates.data(), n_candidates, options.degree, options.alpha, n_threads,
                scratch, links_, times_);
  }
  clock.lap();
  choose_entries(values, n_rows, lists, options, n_threads);
  row_of_ = std::move(lists.row_of);
  for (std::int64_t r = 0; r < n_rows && n < n_rows; ++r) {
    const std::int32_t root = first[static_cast<std::size_t>(r)];
    if (root != r) chain(r, root);
  }
  set_entries(entries_, graph_link(entries_, links_));
  times_.link = clock.lap();
}

Graph::Graph(Parts&& parts, const float* matrix, std::int64_t m, std::int64_t dim,
             const float* origin)
    : dim_(dim),
      space_(matrix, m, dim, origin),
      links_(std::move(parts.links)),
      row_of_(std::move(parts.row_of)),
      twins_(std::move(parts.twins)) {
  head_.dim = parts.head_dim;
  head_.bits = parts.head_bits;
  head_.rows = std::move(parts.codes);
  set_entries(std::move(parts.entries), {});
}

Graph::~Graph() = default;

// Nodes nearest to the centres of lists of lists or, where lists are few, of groups of rows.
void Graph::choose_entries(const float* points, std::int64_t n_rows, const GraphLists& lists,
                           const GraphOptions& options, int n_threads) {
  const bool by_lists = lists.n_lists >= 4 * options.entries;
  const std::int64_t n = lists.row_of.n();
  KMeansOptions kmeans_options;
  kmeans_options.k = std::clamp<std::int64_t>(n / 16, 1, options.entries);
  kmeans_options.init = KMeansInit::kRandom;
  kmeans_options.max_iter = 10;
  kmeans_options.max_points_per_centroid = 16;
  kmeans_options.seed = options.seed;
  kmeans_options.n_jobs = n_threads;
  const KMeansResult found =
      by_lists ? kmeans(lists.centroids.data(), lists.n_lists, dim_, kmeans_options)
               : kmeans(points, n_rows, dim_, kmeans_options);
  const auto n_entries = static_cast<std::size_t>(kmeans_options.k);
  const auto entry_of = [&](std::int64_t p) {
    const auto first = lists.first.begin();
    const std::int64_t at =
        by_lists ? std::upper_bound(first, lists.first.end(), p) - first - 1 : *lists.row_of.of(p);
    return static_cast<std::size_t>(found.labels[static_cast<std::size_t>(at)]);
  };
  const std::int64_t n_tasks = (n + kBlock - 1) / kBlock;
  std::vector<float> d(static_cast<std::size_t>(n));
  parallel_for(n_tasks, n_threads, [&](std::int64_t task, int) {
    for (std::int64_t p = task * kBlock; p < std::min(n, (task + 1) * kBlock); ++p) {
      d[static_cast<std::size_t>(p)] = squared_distance(
          points + *lists.row_of.of(p) * dim_,
          found.centroids.data() + static_cast<std::int64_t>(entry_of(p)) * dim_, dim_);
    }
  });
  std::vector<Neighbour> nearest(n_entries, {0.0F, kNoNode});
  for (std::int64_t p = 0; p < n; ++p) {
    const float own = d[static_cast<std::size_t>(p)];
    Neighbour& best = nearest[entry_of(p)];
    if (best.node == kNoNode || own < best.d) best = {own, static_cast<std::uint32_t>(p)};
  }
  for (const Neighbour& best : nearest) {
    if (best.node != kNoNode) entries_.push_back(best.node);
  }
}

// Puts `position` behind the row it equals; positions come in ascending order.
void Graph::chain(std::int64_t position, std::int64_t twin_of) {
  const std::int64_t known = twins_.n();
  if (known <= std::max(position, twin_of)) {
    twins_.resize(std::max(position, twin_of) + 1);
    std::fill(twins_.of(known), twins_.of(twins_.n()), -1);
  }
  // Behind the first: the order of a chain does not matter, and its end may be far.
  *twins_.of(position) = *twins_.of(twin_of);
  *twins_.of(twin_of) = static_cast<std::int32_t>(position);
}

// An island hangs on one edge, which a search for it may never see.
void Graph::set_entries(std::vector<std::uint32_t> entries,
                        const std::vector<std::uint32_t>& islands) {
  entries_ = std::move(entries);
  for (const std::uint32_t node : islands) {
    if (entries_.size() < kMostEntries) entries_.push_back(node);
  }
  std::sort(entries_.begin(), entries_.end());
  entries_.erase(std::unique(entries_.begin(), entries_.end()), entries_.end());
  entry_codes_ =
      AlignedBuffer<std::uint8_t>(entries_.size() * static_cast<std::size_t>(head_.stride()));
  for (std::size_t e = 0; e < entries_.size(); ++e) {
    std::memcpy(entry_codes_.data() + static_cast<std::int64_t>(e) * head_.stride(),
                head_.rows.of(entries_[e]), static_cast<std::size_t>(head_.stride()));
  }
}

std::size_t Graph::bytes() const {
  return links_.bytes() + head_.rows.bytes() + row_of_.bytes() + twins_.bytes() +
         entry_codes_.size();
}

std::int64_t Graph::unreached() const {
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(n()), 0);
  return n() - graph_reached(entries_, links_, seen);
}

}  // namespace vl
