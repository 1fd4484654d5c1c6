// SPDX-License-Identifier: Apache-2.0
// From nearest candidates to a graph: which candidates a kept one makes needless is found for all
// pairs at once by a block product,
//   alpha |y_s - y_c|^2 <= |y_p - y_c|^2   <=>
//   <y_c, y_s> - |y_s|^2 / 2 >= (|y_c|^2 - |y_p - y_c|^2 / alpha) / 2,
// a limit for each c; the walk over candidates, nearest first, then takes a few bit operations
// each.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "base/threads.h"
#include "index/graph.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kPair = kPanelsPerCall * kPanelRows;
constexpr std::int64_t kMost = 128;  // candidates a node may have in all
constexpr std::int64_t kBlock = 256;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Pruner {
 public:
  explicit Pruner(const BlockCodes& codes)
      : codes_(codes),
        rows_(static_cast<std::size_t>((kMost + kQueryPad) * codes.row_bytes)),
        panels_(static_cast<std::size_t>(kMost * codes.row_bytes)),
        start_(kMost + kQueryPad),
        inverse_(kMost + kQueryPad, 1.0f),
        limit_(kMost + kQueryPad),
        step_(kMost),
        half_(kMost),
        hits_(static_cast<std::size_t>(kMost * kPair)) {}

  // Keeps at most `degree` of n <= kMost candidates, sorted; returns how many, which come first.
  int prune(Neighbour* c, int n, int degree, float alpha) {
    load(c, n, alpha);
    std::memset(needless_, 0, sizeof(needless_[0]) * static_cast<std::size_t>(n));
    PanelQueries queries;
    queries.codes = rows_.data();
    queries.row_bytes = codes_.row_bytes;
    queries.n = n;
    queries.start = start_.data();
    queries.bias = inverse_.data();
    queries.limit = limit_.data();
    for (std::int64_t at = 0; at < n; at += kPair) {
      PanelPair pair;
      pair.data = panels_.data() + at * codes_.row_bytes;
      pair.scale = step_.data() + at;
      pair.bias = half_.data() + at;
      const std::int64_t n_hits =
          panel_kernels().filter_int8(queries, pair, codes_.groups, 0, hits_.data());
      for (std::int64_t h = 0; h < n_hits; ++h) {
        const PanelHit& hit = hits_[static_cast<std::size_t>(h)];
        const auto s = static_cast<std::uint64_t>(at) + hit.row;
        needless_[hit.query][s / 64] |= std::uint64_t{1} << (s % 64);
      }
    }
    std::uint64_t kept[2] = {0, 0};
    int n_kept = 0;
    for (int i = 0; i < n && n_kept < degree; ++i) {
      if (((needless_[i][0] & kept[0]) | (needless_[i][1] & kept[1])) != 0) continue;
      kept[i / 64] |= std::uint64_t{1} << (i % 64);
      c[n_kept++] = c[i];
    }
    return n_kept;
  }

 private:
  void load(const Neighbour* c, int n, float alpha) {
    const float share = 1.0f / alpha;
    for (int i = 0; i < n; ++i) {
      if (i + 8 < n) {
        const std::int8_t* next = codes_.rows.data() + c[i + 8].node * codes_.row_bytes;
        for (std::int64_t b = 0; b < codes_.row_bytes; b += 64) __builtin_prefetch(next + b);
      }
      const auto at = static_cast<std::size_t>(i);
      const std::size_t p = c[i].node;
      const std::int8_t* row = codes_.rows.data() + c[i].node * codes_.row_bytes;
      std::memcpy(rows_.data() + i * codes_.row_bytes, row,
                  static_cast<std::size_t>(codes_.row_bytes));
      std::uint8_t* panel = panels_.data() + i / kPanelRows * kPanelRows * codes_.row_bytes +
                            i % kPanelRows * kGroupBytes;
      for (int g = 0; g < codes_.groups; ++g) {
        std::uint32_t group;
        std::memcpy(&group, row + g * kGroupBytes, sizeof group);
        group ^= 0x80808080u;
        std::memcpy(panel + g * kPanelRows * kGroupBytes, &group, sizeof group);
      }
      start_[at] = codes_.start[p];
      inverse_[at] = codes_.inverse[p];
      limit_[at] = 0.5f * (codes_.square[p] - c[i].d * share) * codes_.inverse[p];
      step_[at] = codes_.step[p];
      half_[at] = -0.5f * codes_.square[p];
    }
    for (auto at = static_cast<std::size_t>(n); at < kMost; ++at) {
      half_[at] = -kInfinity;
      step_[at] = 0.0f;
    }
    std::fill(limit_.begin() + n, limit_.end(), kInfinity);
  }

  const BlockCodes& codes_;
  AlignedBuffer<std::int8_t> rows_;
  AlignedBuffer<std::uint8_t> panels_;
  std::vector<std::int32_t> start_;
  std::vector<float> inverse_, limit_, step_, half_;
  std::vector<PanelHit> hits_;
  std::uint64_t needless_[kMost][2];
};

// Edges turned round: for each node who points at it, and from how far.
struct Reversed {
  std::vector<std::int64_t> first;
  ScratchBuffer<Neighbour> edges;
};

Reversed reverse(const Neighbour* forward, std::int64_t n, std::int64_t k,
                 const std::vector<std::int32_t>& kept, Scratch& scratch) {
  Reversed out;
  out.first.assign(static_cast<std::size_t>(n) + 1, 0);
  for (std::int64_t p = 0; p < n; ++p) {
    for (std::int64_t j = 0; j < kept[static_cast<std::size_t>(p)]; ++j) {
      ++out.first[forward[p * k + j].node + std::size_t{1}];
    }
  }
  for (std::size_t p = 1; p < out.first.size(); ++p) out.first[p] += out.first[p - 1];
  out.edges = ScratchBuffer<Neighbour>(static_cast<std::size_t>(out.first.back()), scratch);
  std::vector<std::int64_t> next(out.first.begin(), out.first.end() - 1);
  for (std::int64_t p = 0; p < n; ++p) {
    for (std::int64_t j = 0; j < kept[static_cast<std::size_t>(p)]; ++j) {
      const Neighbour& edge = forward[p * k + j];
      out.edges[static_cast<std::size_t>(next[edge.node]++)] = {edge.d,
                                                                static_cast<std::uint32_t>(p)};
    }
  }
  return out;
}

}  // namespace

void graph_prune(const BlockCodes& codes, Neighbour* candidates, std::int64_t k, int degree,
                 float alpha, int n_threads, Scratch& scratch, Adjacency& out, GraphTimes& times) {
  const std::int64_t n = codes.n;
  const double begin = seconds();
  std::vector<std::int32_t> kept(static_cast<std::size_t>(n));
  const std::int64_t n_tasks = (n + kBlock - 1) / kBlock;
  parallel_for(n_tasks, n_threads, [&](std::int64_t task, int) {
    Pruner pruner(codes);
    for (std::int64_t p = task * kBlock; p < std::min(n, (task + 1) * kBlock); ++p) {
      Neighbour* c = candidates + p * k;
      int count = 0;
      while (count < k && c[count].node != kNoNode) ++count;
      kept[static_cast<std::size_t>(p)] = pruner.prune(c, count, degree, alpha);
    }
  });
  const double middle = seconds();
  times.prune += middle - begin;
  const Reversed reversed = reverse(candidates, n, k, kept, scratch);
  parallel_for(n_tasks, n_threads, [&](std::int64_t task, int) {
    Pruner pruner(codes);
    std::vector<Neighbour> all;
    for (std::int64_t p = task * kBlock; p < std::min(n, (task + 1) * kBlock); ++p) {
      const Neighbour* own = candidates + p * k;
      const std::int32_t n_own = kept[static_cast<std::size_t>(p)];
      all.assign(own, own + n_own);
      for (std::int64_t e = reversed.first[p]; e < reversed.first[p + 1]; ++e) {
        const Neighbour& edge = reversed.edges[static_cast<std::size_t>(e)];
        const bool known =
            std::any_of(own, own + n_own, [&](const Neighbour& o) { return o.node == edge.node; });
        if (!known) all.push_back(edge);
      }
      std::sort(all.begin(), all.end());
      if (static_cast<std::int64_t>(all.size()) > kMost) all.resize(kMost);
      auto count = static_cast<int>(all.size());
      if (count > degree) {
        count = pruner.prune(all.data(), count, degree, alpha);
      }
      std::uint32_t* to = out.of(p);
      for (int j = 0; j < out.width(); ++j) {
        to[j] = j < count ? all[static_cast<std::size_t>(j)].node : kNoNode;
      }
    }
  });
  times.join += seconds() - middle;
}

std::int64_t graph_reached(const std::vector<std::uint32_t>& entries, const Adjacency& graph,
                           std::vector<std::uint8_t>& seen) {
  std::vector<std::uint32_t> open;
  std::int64_t reached = 0;
  const auto visit = [&](std::uint32_t p) {
    if (seen[p] != 0) return;
    seen[p] = 1;
    ++reached;
    open.push_back(p);
  };
  for (const std::uint32_t entry : entries) visit(entry);
  while (!open.empty()) {
    const std::uint32_t p = open.back();
    open.pop_back();
    const std::uint32_t* near = graph.of(p);
    for (int j = 0; j < graph.width() && near[j] != kNoNode; ++j) visit(near[j]);
  }
  return reached;
}

std::vector<std::uint32_t> graph_link(const std::vector<std::uint32_t>& entries, Adjacency& graph) {
  const std::int64_t n = graph.n();
  std::vector<std::uint8_t> seen(static_cast<std::size_t>(n), 0);
  std::int64_t reached = graph_reached(entries, graph, seen);
  std::vector<std::uint32_t> linked;
  const auto room = [&](std::uint32_t p) {
    std::uint32_t* near = graph.of(p);
    for (std::int64_t j = 0; j < graph.width(); ++j) {
      if (near[j] == kNoNode) return near + j;
    }
    return static_cast<std::uint32_t*>(nullptr);
  };
  // A place at the nearest reached node that has one; nodes near in number are near in space.
  const auto place = [&](std::int64_t p) {
    const std::uint32_t* near = graph.of(p);
    for (std::int64_t j = 0; j < graph.width() && near[j] != kNoNode; ++j) {
      if (seen[near[j]] == 0) continue;
      if (std::uint32_t* free = room(near[j])) return free;
    }
    for (std::int64_t step = 1; step < n; ++step) {
      for (const std::int64_t q : {p - step, p + step}) {
        if (q < 0 || q >= n || seen[static_cast<std::size_t>(q)] == 0) continue;
        if (std::uint32_t* free = room(static_cast<std::uint32_t>(q))) return free;
      }
    }
    return static_cast<std::uint32_t*>(nullptr);
  };
  for (std::int64_t p = 0; p < n && reached < n; ++p) {
    if (seen[static_cast<std::size_t>(p)] != 0) continue;
    if (std::uint32_t* free = place(p)) *free = static_cast<std::uint32_t>(p);
    linked.push_back(static_cast<std::uint32_t>(p));
    reached += graph_reached({static_cast<std::uint32_t>(p)}, graph, seen);
  }
  return linked;
}

}  // namespace vl
