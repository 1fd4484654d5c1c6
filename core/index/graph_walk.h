// SPDX-License-Identifier: Apache-2.0
// What one thread needs to walk a graph.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/aligned.h"
#include "base/threads.h"
#include "index/candidates.h"
#include "index/graph.h"

namespace vl {

inline constexpr std::uint32_t kOpened = 0x80000000u;  // the node's neighbours have been scored
// Up to so many words of bits are cleared whole, which takes less than to remember which were set.
inline constexpr std::size_t kClearedWhole = 1 << 14;

// The best nodes so far, best first, in plain memory: for some hundred places moving a few cache
// lines beats any heap.
class WalkBuffer {
 public:
  void start(std::int64_t size) {
    if (places_.size() < static_cast<std::size_t>(size) + 1) {
      places_ = AlignedBuffer<WalkPlace>(static_cast<std::size_t>(size) + 1);
    }
    size_ = size;
    count_ = 0;
    cursor_ = 0;
  }
  float worst() const {
    return count_ < size_ ? -std::numeric_limits<float>::infinity() : value(count_ - 1);
  }
  void insert(float value, std::uint32_t node) {
    if (!(value > worst())) return;
    // How many are no worse, without a branch that nobody can foresee.
    const WalkPlace* p = places_.data();
    std::int64_t low = 0;
    for (std::int64_t rest = count_; rest > 0;) {
      const std::int64_t half = (rest + 1) / 2;
      low += p[low + half - 1].value >= value ? half : 0;
      rest -= half;
    }
    std::memmove(places_.data() + low + 1, p + low,
                 static_cast<std::size_t>(count_ - low) * sizeof(WalkPlace));
    places_.data()[low] = {value, node};
    count_ = std::min(count_ + 1, size_);
    cursor_ = std::min(cursor_, low);
  }
  // The best node whose neighbours have not been seen, where it is not below the floor.
  bool open(float floor, std::uint32_t& node) {
    WalkPlace* p = places_.data();
    while (cursor_ < count_ && (p[cursor_].node & kOpened) != 0) ++cursor_;
    if (cursor_ == count_ || p[cursor_].value < floor) return false;
    node = p[cursor_].node;
    p[cursor_].node |= kOpened;
    return true;
  }
  // The next such node, as it looks now.
  std::uint32_t next() const {
    const WalkPlace* p = places_.data();
    for (std::int64_t i = cursor_; i < count_; ++i) {
      if ((p[i].node & kOpened) == 0) return p[i].node;
    }
    return kNoNode;
  }
  std::int64_t count() const { return count_; }
  float value(std::int64_t i) const { return places_[static_cast<std::size_t>(i)].value; }
  std::uint32_t node(std::int64_t i) const {
    return places_[static_cast<std::size_t>(i)].node & ~kOpened;
  }

 private:
  AlignedBuffer<WalkPlace> places_;
  std::int64_t size_ = 0, count_ = 0, cursor_ = 0;
};

struct Graph::Worker {
  explicit Worker(const Graph& graph)
      : scratch(graph.space_.scratch()), head(graph.head_.query()) {}

  Turn::Scratch scratch;
  HeadQuery head;
  float square = 0.0F;  // of the query's point
  // The end of a walk: with reach2 > 0 nothing below  half - reach2 (half - value of the k-th).
  float half = 0.0F, reach2 = 0.0F;
  std::int64_t k = 1;
  float edge = std::numeric_limits<float>::infinity();  // a value that it must reach in any case
  std::vector<std::uint64_t> seen;                      // a bit a node
  std::vector<std::uint32_t> touched;                   // whose bits are to be cleared, if many
  std::int64_t visited = 0;
  std::vector<std::int64_t> nodes;
  std::vector<float> values;
  WalkBuffer buffer;
  WalkBuffer best;  // of those that match, where there is a filter
  std::vector<std::int64_t> rows;
  std::vector<double> scores;
  std::vector<std::int32_t> dots;
  std::vector<Scored> found;
  std::vector<float> near;  // points of queries, or of candidates

  // `most`: nodes that may be scored at once.
  void start(std::int64_t n, std::size_t most, std::int64_t effort) {
    for (const std::uint32_t node : touched) seen[node / 64] = 0;
    if (touched.empty()) std::fill(seen.begin(), seen.end(), 0);
    touched.clear();
    visited = 0;
    seen.resize(static_cast<std::size_t>(n + 63) / 64, 0);
    if (nodes.size() < most) {
      nodes.resize(most);
      values.resize(most);
    }
    buffer.start(effort);
    reach2 = 0.0F;
    edge = std::numeric_limits<float>::infinity();
  }
  // True at the first visit.
  bool mark(std::uint32_t node) { return mark(&node, 1) == 1; }
  // Marks nodes, up to the first that is none, and puts those not visited before into `nodes`.
  std::int64_t mark(const std::uint32_t* links, std::int64_t width) {
    std::int64_t* fresh = nodes.data();
    std::int64_t n = 0;
    for (std::int64_t j = 0; j < width && links[j] != kNoNode; ++j) {
      std::uint64_t& word = seen[links[j] / 64];
      const std::uint64_t before = word;
      const std::uint32_t at = links[j] % 64;
      fresh[n] = links[j];
      word = before | std::uint64_t{1} << at;
      n += static_cast<std::int64_t>(~before >> at & 1);  // no branch: half of them would be missed
    }
    if (seen.size() > kClearedWhole) touched.insert(touched.end(), fresh, fresh + n);
    visited += n;
    return n;
  }
  float floor(const WalkBuffer& kept) const {
    if (reach2 <= 0.0F || kept.count() < k) return -std::numeric_limits<float>::infinity();
    const float kth = std::min(kept.value(k - 1), edge);
    return std::min(kth, half - reach2 * (half - kth));
  }
};

// A worker from the graph's idle ones, given back at the end.
class Graph::Lease {
 public:
  explicit Lease(const Graph& graph) : graph_(graph) {
    const std::lock_guard<std::mutex> lock(graph.mutex_);
    if (!graph.idle_.empty()) {
      worker_ = std::move(graph.idle_.back());
      graph.idle_.pop_back();
    }
    if (!worker_) worker_ = std::make_unique<Worker>(graph);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    const std::lock_guard<std::mutex> lock(graph_.mutex_);
    try {
      graph_.idle_.push_back(std::move(worker_));
    } catch (const std::bad_alloc&) {
      worker_.reset();  // the next one is made anew
    }
  }
  Worker& operator*() const { return *worker_; }

 private:
  const Graph& graph_;
  std::unique_ptr<Worker> worker_;
};

template <class One>
void Graph::each_query(const Points& points, const GraphQuery& query, const One& one) const {
  constexpr std::int64_t kBlock = 16;
  const std::int64_t blocks = (query.n_queries + kBlock - 1) / kBlock;
  // How many threads there may be is a question to the system, which costs a tenth of a walk.
  parallel_for(blocks, blocks == 1 ? 1 : resolve_jobs(query.n_jobs), [&](std::int64_t task, int) {
    const Lease lease(*this);
    Worker& worker = *lease;
    const std::int64_t first = task * kBlock;
    const std::int64_t last = std::min(query.n_queries, first + kBlock);
    worker.near.resize(static_cast<std::size_t>(kBlock * dim_));
    const float* values = static_cast<const float*>(query.queries);
    for (std::int64_t q = first; q < last; ++q) {
      points.query(values + q * points.rows().dim, worker.near.data() + (q - first) * dim_);
    }
    space_.apply(worker.near.data(), static_cast<int>(last - first), head_.dim, worker.scratch);
    for (std::int64_t q = first; q < last; ++q) {
      worker.square = space_.square(worker.near.data() + (q - first) * dim_);
      one(q, worker.scratch.out.data() + (q - first) * space_.stride(), worker);
    }
  });
}

}  // namespace vl
