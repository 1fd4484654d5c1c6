// SPDX-License-Identifier: Apache-2.0
// Lists, and the nearest candidates of each node by block products of lists with near lists.
//
// A product counts when  s_c (code_p . code_c) - (|y_c|^2 / 2) / s_p  reaches what the k-th best so
// far has: that is <y_p, y_c> - |y_c|^2 / 2 in units of the row's step. Which nodes stay does not
// depend on the order of the products: ties go to the lower node.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/threads.h"
#include "index/graph.h"
#include "linalg/matmul.h"
#include "select/kmeans.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kPair = kPanelsPerCall * kPanelRows;
constexpr std::int64_t kBlock = 256;  // rows that meet lists together
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Offer {
  float value;
  std::uint32_t node;
};
inline bool better(const Offer& a, const Offer& b) {
  return a.value > b.value || (a.value == b.value && a.node < b.node);
}

// Keeps the k best of what it is offered, in no order; cuts back when twice as many are there.
class Keeper {
 public:
  explicit Keeper(std::int64_t k) : k_(static_cast<std::size_t>(k)) { offers_.reserve(2 * k_); }
  void clear() { offers_.clear(); }
  void add(float value, std::uint32_t node, float& limit) {
    offers_.push_back({value, node});
    if (offers_.size() == 2 * k_) settle(limit);
  }
  // Raises the limit to the worst that is kept, once there are k.
  void settle(float& limit) {
    if (offers_.size() < k_) return;
    cut();
    limit = offers_[k_ - 1].value;
  }
  void cut() {
    if (offers_.size() < k_) return;
    std::nth_element(offers_.begin(), offers_.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
                     offers_.end(), better);
    offers_.resize(k_);
  }
  const std::vector<Offer>& offers() const { return offers_; }

 private:
  std::size_t k_;
  std::vector<Offer> offers_;
};

struct Work {
  explicit Work(std::int64_t k)
      : keepers(kBlock, Keeper(k)), limits(kBlock), hits(kBlock * kPair) {}
  std::vector<Keeper> keepers;
  std::vector<float> limits;
  std::vector<PanelHit> hits;
};

class Sweep {
 public:
  Sweep(const GraphLists& lists, const BlockCodes& codes, std::int64_t k, Neighbour* out)
      : lists_(lists), codes_(codes), k_(k), out_(out) {}

  void block(std::int64_t list, std::int64_t first, int n, Work& work) const {
    std::fill(work.limits.begin(), work.limits.end(), kInfinity);
    std::fill_n(work.limits.begin(), n, -kInfinity);
    for (int i = 0; i < n; ++i) work.keepers[static_cast<std::size_t>(i)].clear();
    PanelQueries queries;
    queries.codes = codes_.rows.data() + first * codes_.row_bytes;
    queries.row_bytes = codes_.row_bytes;
    queries.n = n;
    queries.start = codes_.start.data() + first;
    queries.bias = codes_.inverse.data() + first;
    queries.limit = work.limits.data();
    for (std::int64_t j = 0; j < lists_.probes; ++j) {
      poll_interrupt();
      const std::int32_t near = lists_.near[static_cast<std::size_t>(list * lists_.probes + j)];
      meet(near, first, queries, work);
      if (j > 1) continue;
      for (int i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        work.keepers[at].settle(work.limits[at]);
      }
    }
    for (int i = 0; i < n; ++i) finish(first + i, work.keepers[static_cast<std::size_t>(i)]);
  }

 private:
  void meet(std::int64_t list, std::int64_t first, const PanelQueries& queries, Work& work) const {
    const std::int64_t first_node = lists_.first[list];
    const std::int64_t first_pair = codes_.first_pair[list];
    for (std::int64_t pair = first_pair; pair < codes_.first_pair[list + 1]; ++pair) {
      PanelPair rows;
      rows.data = codes_.panels.data() + pair * kPair * codes_.row_bytes;
      rows.scale = codes_.slot_step.data() + pair * kPair;
      rows.bias = codes_.slot_half.data() + pair * kPair;
      const std::int64_t n_hits =
          panel_kernels().filter_int8(queries, rows, codes_.groups, 0, work.hits.data());
      const std::int64_t node0 = first_node + (pair - first_pair) * kPair;
      for (std::int64_t h = 0; h < n_hits; ++h) {
        const PanelHit& hit = work.hits[static_cast<std::size_t>(h)];
        const std::int64_t node = node0 + hit.row;
        float& limit = work.limits[hit.query];
        if (!(hit.value >= limit) || hit.value == -kInfinity || node == first + hit.query) continue;
        work.keepers[hit.query].add(hit.value, static_cast<std::uint32_t>(node), limit);
      }
    }
  }

  void finish(std::int64_t node, Keeper& keeper) const {
    keeper.cut();
    const auto p = static_cast<std::size_t>(node);
    Neighbour* out = out_ + node * k_;
    std::int64_t n = 0;
    for (const Offer& offer : keeper.offers()) {
      const float d = codes_.square[p] - 2.0f * offer.value * codes_.step[p];
      out[n++] = {std::max(d, 0.0f) + 0.0f, offer.node};
    }
    std::sort(out, out + n);
    for (; n < k_; ++n) out[n] = {kInfinity, kNoNode};
  }

  const GraphLists& lists_;
  const BlockCodes& codes_;
  std::int64_t k_;
  Neighbour* out_;
};

}  // namespace

GraphLists graph_lists(const float* points, std::int64_t n, std::int64_t dim,
                       const std::vector<std::int32_t>& first_twin, const GraphOptions& options,
                       int n_threads) {
  GraphLists lists;
  KMeansOptions kmeans_options;
  kmeans_options.k = std::clamp<std::int64_t>(n / options.list_rows, 1, kMostClusters);
  kmeans_options.init = KMeansInit::kRandom;
  kmeans_options.max_iter = 6;
  kmeans_options.max_points_per_centroid = 64;
  kmeans_options.seed = options.seed;
  kmeans_options.n_jobs = n_threads;
  KMeansResult found = kmeans(points, n, dim, kmeans_options);
  lists.n_lists = kmeans_options.k;
  lists.first.assign(static_cast<std::size_t>(lists.n_lists + 1), 0);
  const auto own = [&](std::int64_t r) { return first_twin[static_cast<std::size_t>(r)] == r; };
  const auto after = [&](std::int64_t r) {
    return static_cast<std::size_t>(found.labels[static_cast<std::size_t>(r)]) + 1;
  };
  for (std::int64_t r = 0; r < n; ++r) lists.first[after(r)] += own(r) ? 1 : 0;
  for (std::size_t l = 1; l < lists.first.size(); ++l) lists.first[l] += lists.first[l - 1];
  lists.row_of = Table<std::int32_t>(lists.first.back(), 1);
  std::vector<std::int64_t> next(lists.first.begin(), lists.first.end() - 1);
  for (std::int64_t r = 0; r < n; ++r) {
    if (own(r)) *lists.row_of.of(next[after(r) - 1]++) = static_cast<std::int32_t>(r);
  }
  lists.centroids = std::move(found.centroids);
  lists.probes = std::min<std::int64_t>(lists.n_lists, options.probes);
  lists.near.resize(static_cast<std::size_t>(lists.n_lists * lists.probes));
  std::vector<float> square(static_cast<std::size_t>(lists.n_lists));
  const float* c = lists.centroids.data();
  for (std::int64_t l = 0; l < lists.n_lists; ++l) {
    double sum = 0.0;
    for (std::int64_t d = 0; d < dim; ++d) {
      sum += static_cast<double>(c[l * dim + d]) * static_cast<double>(c[l * dim + d]);
    }
    square[static_cast<std::size_t>(l)] = static_cast<float>(sum);
  }
  parallel_for(lists.n_lists, n_threads, [&](std::int64_t l, int) {
    std::vector<float> product(static_cast<std::size_t>(lists.n_lists));
    matmul(c + l * dim, 1, c, lists.n_lists, dim, product.data(), 1);
    std::vector<Neighbour> order(static_cast<std::size_t>(lists.n_lists));
    for (std::size_t i = 0; i < order.size(); ++i) {
      order[i] = {square[i] - 2.0f * product[i], static_cast<std::uint32_t>(i)};
      if (static_cast<std::int64_t>(i) == l) order[i].d = -kInfinity;
    }
    std::partial_sort(order.begin(), order.begin() + lists.probes, order.end());
    for (std::int64_t j = 0; j < lists.probes; ++j) {
      lists.near[static_cast<std::size_t>(l * lists.probes + j)] =
          static_cast<std::int32_t>(order[static_cast<std::size_t>(j)].node);
    }
  });
  return lists;
}

void graph_candidates(const GraphLists& lists, const BlockCodes& codes, std::int64_t k,
                      int n_threads, Neighbour* out) {
  struct Task {
    std::int64_t list, first;
    int n;
  };
  std::vector<Task> tasks;
  for (std::int64_t l = 0; l < lists.n_lists; ++l) {
    for (std::int64_t p = lists.first[l]; p < lists.first[l + 1]; p += kBlock) {
      tasks.push_back({l, p, static_cast<int>(std::min(kBlock, lists.first[l + 1] - p))});
    }
  }
  std::vector<Work> work(static_cast<std::size_t>(n_threads), Work(k));
  const Sweep sweep(lists, codes, k, out);
  parallel_for(static_cast<std::int64_t>(tasks.size()), n_threads, [&](std::int64_t t, int worker) {
    const Task& task = tasks[static_cast<std::size_t>(t)];
    sweep.block(task.list, task.first, task.n, work[static_cast<std::size_t>(worker)]);
  });
}

}  // namespace vl
