// SPDX-License-Identifier: Apache-2.0
// Rows that come later, and rows that go.
//
// New rows come in batches: all of a batch walk the graph as it stands, meet each other in one
// product, and are pruned; then they are appended in order, and every node that one of them points
// at takes the edge back, pruned to some room when its list is full. What comes out does not depend
// on the number of threads. Cost a row: a walk of 64 nodes, the 64 candidates read and multiplied
// with each other, and about eight lists pruned.
//
// Rows that go leave their edges: each edge to one goes on to its nearest living neighbour.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/threads.h"
#include "index/graph_walk.h"
#include "index/twins.h"
#include "linalg/matmul.h"

namespace vl {
namespace {

constexpr std::int64_t kFound = 64;  // nodes a new row may be linked to
constexpr std::int64_t kMates = 16;  // of its own batch
constexpr std::int64_t kSmallest = 64;
constexpr std::int64_t kLargest = 2048;

float square_of(const float* x, std::int64_t dim) {
  double sum = 0.0;
  for (std::int64_t d = 0; d < dim; ++d)
    sum += static_cast<double>(x[d]) * static_cast<double>(x[d]);
  return static_cast<float>(sum);
}

// Of candidates, nearest first, those that no kept one makes needless. `near` holds their points,
// in the order of `numbers`: that of c[i] at numbers[i].
void keep_diverse(std::vector<Neighbour>& c, const std::vector<std::int64_t>& numbers,
                  const float* near, std::int64_t dim, std::size_t degree, float alpha) {
  std::size_t kept = 0;
  std::vector<const float*> points;
  for (std::size_t i = 0; i < c.size() && kept < degree; ++i) {
    const float* point = near + numbers[i] * dim;
    const bool needless = std::any_of(points.begin(), points.end(), [&](const float* other) {
      return alpha * squared_distance(other, point, dim) <= c[i].d;
    });
    if (needless) continue;
    points.push_back(point);
    c[kept++] = c[i];
  }
  c.resize(kept);
}

void sort_together(std::vector<Neighbour>& c, std::vector<std::int64_t>& numbers) {
  std::vector<std::int64_t> order(c.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return c[static_cast<std::size_t>(a)] < c[static_cast<std::size_t>(b)];
  });
  std::vector<Neighbour> sorted(c.size());
  numbers.resize(c.size());
  for (std::size_t i = 0; i < c.size(); ++i) {
    sorted[i] = c[static_cast<std::size_t>(order[i])];
    numbers[i] = order[i];
  }
  c = std::move(sorted);
}

}  // namespace

// Rows [first, first + n) on their way into the graph. Mates are numbered behind the nodes there
// are: n_nodes + i.
struct Graph::Batch {
  std::int64_t first, n, n_nodes;
  std::vector<std::int32_t> root;  // the first of the batch that is the same row
  std::vector<float> points;       // (n, dim)
  std::vector<float> products;     // (n, n)
  std::vector<float> squares;
  Table<std::uint8_t> codes;
  std::vector<std::vector<Neighbour>> kept;
  std::vector<std::int64_t> twin;   // a node that is the same row, -1: none
  std::vector<std::uint32_t> node;  // of each row, once appended
};

void Graph::insert(const Points& points, std::int64_t first, std::int64_t last, float alpha,
                   int n_jobs) {
  const int n_threads = resolve_jobs(n_jobs);
  while (first < last) {
    Batch batch;
    batch.first = first;
    batch.n = std::min(std::clamp(n() / 8, kSmallest, kLargest), last - first);
    batch.n_nodes = n();
    insert_batch(points, batch, alpha, n_threads);
    first += batch.n;
  }
}

void Graph::insert_batch(const Points& points, Batch& batch, float alpha, int n_threads) {
  const std::int64_t n = batch.n;
  const auto size = static_cast<std::size_t>(n);
  batch.root = first_twins(points, batch.first, batch.first + n, n_threads);
  batch.points.resize(size * static_cast<std::size_t>(dim_));
  batch.products.resize(size * size);
  batch.squares.resize(size);
  batch.codes = Table<std::uint8_t>(n, head_.stride());
  batch.kept.resize(size);
  batch.twin.assign(size, -1);
  batch.node.assign(size, kNoNode);
  for (std::int64_t i = 0; i < n; ++i) {
    float* point = batch.points.data() + i * dim_;
    points.row(batch.first + i, point);
    batch.squares[static_cast<std::size_t>(i)] = square_of(point, dim_);
  }
  matmul(batch.points.data(), n, batch.points.data(), n, dim_, batch.products.data(), n_threads);
  parallel_for(n, n_threads, [&](std::int64_t i, int) {
    const Lease lease(*this);
    find_neighbours(points, batch, i, alpha, *lease);
  });
  append(batch);
  link_back(points, batch, alpha, n_threads);
}

void Graph::find_neighbours(const Points& points, Batch& batch, std::int64_t i, float alpha,
                            Worker& worker) const {
  const auto at = static_cast<std::size_t>(i);
  const float* point = batch.points.data() + i * dim_;
  space_.apply(point, 1, space_.size(), worker.scratch);
  const float* y = worker.scratch.out.data();
  std::vector<std::uint8_t> levels(static_cast<std::size_t>(head_.dim));
  std::memset(batch.codes.of(i), 0, static_cast<std::size_t>(head_.stride()));
  head_.encode(y, square_of(y, space_.size()), levels.data(), batch.codes.of(i));
  if (batch.root[at] != batch.first + i) return;
  head_.prepare(y, worker.head);
  worker.start(n(),
               std::max<std::size_t>(static_cast<std::size_t>(links_.width()), entries_.size()),
               std::min(kFound, n()));
  enter(nullptr, worker);
  walk<false>(nullptr, worker);

  std::vector<Neighbour> c;
  const std::int64_t n_found = worker.buffer.count();
  worker.near.resize(static_cast<std::size_t>((n_found + kMates) * dim_));
  for (std::int64_t j = 0; j < n_found; ++j) {
    const std::uint32_t node = worker.buffer.node(j);
    const std::int32_t position = *row_of_.of(node);
    float* other = worker.near.data() + j * dim_;
    points.row(position, other);
    const float d = squared_distance(point, other, dim_);
    if (points.same(position, batch.first + i)) {
      batch.twin[at] = node;
      return;
    }
    c.push_back({d, node});
  }
  std::vector<Neighbour> mates;
  for (std::int64_t j = 0; j < batch.n; ++j) {
    const auto other = static_cast<std::size_t>(j);
    if (j == i || batch.root[other] != batch.first + j) continue;
    const float product = batch.products[at * static_cast<std::size_t>(batch.n) + other];
    const float d = batch.squares[at] + batch.squares[other] - 2.0F * product;
    mates.push_back({std::max(d, 0.0F), static_cast<std::uint32_t>(batch.n_nodes + j)});
  }
  const std::size_t n_mates = std::min(mates.size(), static_cast<std::size_t>(kMates));
  std::partial_sort(mates.begin(), mates.begin() + static_cast<std::ptrdiff_t>(n_mates),
                    mates.end());
  for (std::size_t j = 0; j < n_mates; ++j) {
    const float* other = batch.points.data() + (mates[j].node - batch.n_nodes) * dim_;
    std::copy_n(other, dim_, worker.near.data() + static_cast<std::int64_t>(c.size()) * dim_);
    c.push_back(mates[j]);
  }
  std::vector<std::int64_t> numbers;
  sort_together(c, numbers);
  keep_diverse(c, numbers, worker.near.data(), dim_, static_cast<std::size_t>(links_.width()),
               alpha);
  batch.kept[at] = std::move(c);
}

// Gives every row of the batch its node, and writes their lists.
void Graph::append(Batch& batch) {
  std::int64_t total = batch.n_nodes;
  for (std::size_t i = 0; i < batch.node.size(); ++i) {
    const std::int64_t position = batch.first + static_cast<std::int64_t>(i);
    const auto root = static_cast<std::size_t>(batch.root[i] - batch.first);
    if (root != i) {
      batch.node[i] = batch.node[root];
    } else if (batch.twin[i] >= 0) {
      batch.node[i] = static_cast<std::uint32_t>(batch.twin[i]);
    } else {
      batch.node[i] = static_cast<std::uint32_t>(total++);
      continue;
    }
    const bool known = batch.node[i] < batch.n_nodes;
    chain(position, known ? *row_of_.of(batch.node[i]) : batch.root[i]);
  }
  row_of_.resize(total);
  head_.rows.resize(total);
  links_.resize(total);
  for (std::size_t i = 0; i < batch.node.size(); ++i) {
    const std::uint32_t node = batch.node[i];
    const std::int64_t position = batch.first + static_cast<std::int64_t>(i);
    if (batch.root[i] != position || batch.twin[i] >= 0) continue;
    *row_of_.of(node) = static_cast<std::int32_t>(position);
    std::memcpy(head_.rows.of(node), batch.codes.of(static_cast<std::int64_t>(i)),
                static_cast<std::size_t>(head_.stride()));
    std::uint32_t* to = links_.of(node);
    std::fill_n(to, links_.width(), kNoNode);
    std::int64_t n = 0;
    for (Neighbour& edge : batch.kept[i]) {
      if (edge.node >= batch.n_nodes) {
        edge.node = batch.node[static_cast<std::size_t>(edge.node - batch.n_nodes)];
      }
      if (std::find(to, to + n, edge.node) == to + n) to[n++] = edge.node;
    }
  }
}

// Every node that a new one points at points back.
void Graph::link_back(const Points& points, const Batch& batch, float alpha, int n_threads) {
  struct Edge {
    std::uint32_t from, to;
    float d;
  };
  std::vector<Edge> edges;
  for (std::size_t i = 0; i < batch.node.size(); ++i) {
    for (const Neighbour& edge : batch.kept[i]) edges.push_back({edge.node, batch.node[i], edge.d});
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    if (a.from != b.from) return a.from < b.from;
    return a.d < b.d || (a.d == b.d && a.to < b.to);
  });
  std::vector<std::size_t> starts;
  for (std::size_t e = 0; e < edges.size(); ++e) {
    if (e == 0 || edges[e].from != edges[e - 1].from) starts.push_back(e);
  }
  starts.push_back(edges.size());
  const std::int64_t width = links_.width();
  const auto kept_when_full = static_cast<std::size_t>(width - width / 8);
  parallel_for(static_cast<std::int64_t>(starts.size()) - 1, n_threads, [&](std::int64_t t, int) {
    const auto task = static_cast<std::size_t>(t);
    const std::uint32_t from = edges[starts[task]].from;
    std::uint32_t* list = links_.of(from);
    std::int64_t n = 0;
    while (n < width && list[n] != kNoNode) ++n;
    std::vector<std::uint32_t> all(list, list + n);
    for (std::size_t e = starts[task]; e < starts[task + 1]; ++e) {
      if (std::find(all.begin(), all.end(), edges[e].to) == all.end()) all.push_back(edges[e].to);
    }
    if (static_cast<std::int64_t>(all.size()) <= width) {
      std::copy(all.begin(), all.end(), list);
      return;
    }
    std::vector<float> near((all.size() + 1) * static_cast<std::size_t>(dim_));
    float* own = near.data() + static_cast<std::int64_t>(all.size()) * dim_;
    points.row(*row_of_.of(from), own);
    std::vector<Neighbour> c;
    for (std::size_t j = 0; j < all.size(); ++j) {
      float* other = near.data() + static_cast<std::int64_t>(j) * dim_;
      points.row(*row_of_.of(all[j]), other);
      c.push_back({squared_distance(own, other, dim_), all[j]});
    }
    std::vector<std::int64_t> numbers;
    sort_together(c, numbers);
    keep_diverse(c, numbers, near.data(), dim_, kept_when_full, alpha);
    std::fill_n(list, width, kNoNode);
    for (std::size_t j = 0; j < c.size(); ++j) list[j] = c[j].node;
  });
}

bool Graph::compact(const std::int64_t* moved, std::int64_t n_rows, int n_jobs) {
  const std::int64_t old = n();
  // The row that stands for each node now, and what is left of the chains of equal rows.
  std::vector<std::uint32_t> renamed(static_cast<std::size_t>(old), kNoNode);
  Table<std::int32_t> row_of(old, 1);
  Table<std::int32_t> twins = std::move(twins_);
  twins_ = Table<std::int32_t>();
  std::int64_t total = 0;
  for (std::int64_t p = 0; p < old; ++p) {
    std::int64_t head = -1;
    for (std::int64_t at = *row_of_.of(p); at >= 0; at = at < twins.n() ? *twins.of(at) : -1) {
      if (at >= n_rows || moved[at] < 0) continue;
      if (head < 0) {
        head = moved[at];
      } else {
        chain(moved[at], head);
      }
    }
    if (head < 0) continue;
    renamed[static_cast<std::size_t>(p)] = static_cast<std::uint32_t>(total);
    *row_of.of(total++) = static_cast<std::int32_t>(head);
  }
  if (total == 0) return false;
  const auto name = [&](std::uint32_t p) { return renamed[p]; };
  const std::int64_t width = links_.width();
  Adjacency links(total, width);
  Table<std::uint8_t> codes(total, head_.stride());
  constexpr std::int64_t kBlock = 1024;
  parallel_for((old + kBlock - 1) / kBlock, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    for (std::int64_t p = task * kBlock; p < std::min(old, (task + 1) * kBlock); ++p) {
      const std::uint32_t self = renamed[static_cast<std::size_t>(p)];
      if (self == kNoNode) continue;
      std::memcpy(codes.of(self), head_.rows.of(p), static_cast<std::size_t>(head_.stride()));
      std::uint32_t* to = links.of(self);
      std::int64_t n = 0;
      const auto take = [&](std::uint32_t node) {
        if (node == kNoNode || node == self || std::find(to, to + n, node) != to + n) return false;
        to[n++] = node;
        return true;
      };
      const std::uint32_t* near = links_.of(p);
      for (std::int64_t j = 0; j < width && near[j] != kNoNode; ++j) {
        if (name(near[j]) != kNoNode) {
          take(name(near[j]));
          continue;
        }
        const std::uint32_t* behind = links_.of(near[j]);
        for (std::int64_t i = 0; i < width && behind[i] != kNoNode; ++i) {
          if (take(name(behind[i]))) break;
        }
      }
      std::fill(to + n, to + width, kNoNode);
    }
  });
  std::vector<std::uint32_t> entries;
  for (const std::uint32_t entry : entries_) {
    if (name(entry) != kNoNode) entries.push_back(name(entry));
  }
  if (entries.empty()) entries.push_back(0);
  links_ = std::move(links);
  head_.rows = std::move(codes);
  row_of.resize(total);
  row_of_ = std::move(row_of);
  const std::vector<std::uint32_t> islands = graph_link(entries, links_);
  set_entries(std::move(entries), islands);
  return true;
}

}  // namespace vl
