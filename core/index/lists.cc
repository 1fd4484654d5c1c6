// SPDX-License-Identifier: Apache-2.0
#include "index/lists.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/aligned.h"
#include "base/errors.h"
#include "base/threads.h"
#include "index/candidates.h"
#include "index/screen_queries.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kMostQueries = 4096;  // of a block: their candidates stay in memory
constexpr std::int64_t kPair = 2 * kPanelRows;

// Queries of a list, side by side as the kernels want them.
class Group {
 public:
  explicit Group(const Screen& screen)
      : most_(ScreenQueries::per_sweep(screen)),
        row_bytes_(screen.rotated_dim()),
        scratch_(most_),
        codes_(static_cast<std::size_t>(most_ * row_bytes_)),
        start_(most_),
        rest_start_(most_),
        rest_weight_(most_),
        tail_(most_),
        bias_(most_) {
    std::fill_n(codes_.data(), codes_.size(), std::int8_t{0});
  }

  int most() const { return most_; }
  ScreenScratch& scratch() { return scratch_; }
  std::int64_t query(std::size_t i) const { return members_[i]; }

  void gather(const ScreenQueries& all, const std::int64_t* members, int n) {
    members_ = members;
    for (int i = 0; i < n; ++i) {
      const PanelQueries one = all.panel_queries(members[i], 1);
      std::memcpy(codes_.data() + i * row_bytes_, one.codes, static_cast<std::size_t>(row_bytes_));
      const auto at = static_cast<std::size_t>(i);
      start_[at] = *one.start;
      rest_start_[at] = *one.rest_start;
      rest_weight_[at] = *one.rest_weight;
      tail_[at] = *one.tail;
      if (one.bias != nullptr) bias_[at] = *one.bias;
    }
    const auto padded = static_cast<std::size_t>((n + kQueryPad - 1) / kQueryPad * kQueryPad);
    for (auto i = static_cast<std::size_t>(n); i < padded; ++i)
      scratch_.limits[i] = std::numeric_limits<float>::infinity();
    queries_.row_bytes = row_bytes_;
    queries_.codes = codes_.data();
    queries_.n = n;
    queries_.start = start_.data();
    queries_.rest_start = rest_start_.data();
    queries_.rest_weight = rest_weight_.data();
    queries_.tail = tail_.data();
    queries_.bias = all.panel_pair(0).bias != nullptr ? bias_.data() : nullptr;
    queries_.limit = scratch_.limits.data();
    queries_.survivor_values = scratch_.survivor_values.data();
    queries_.survivors = scratch_.survivors.data();
  }
  const PanelQueries& queries() const { return queries_; }

 private:
  int most_;
  std::int64_t row_bytes_;
  ScreenScratch scratch_;
  AlignedBuffer<std::int8_t> codes_;
  std::vector<std::int32_t> start_, rest_start_;
  std::vector<float> rest_weight_, tail_, bias_;
  PanelQueries queries_;
  const std::int64_t* members_ = nullptr;
};

// A block of queries, searched by one thread.
class Block {
 public:
  Block(const ListQuery& query, std::int64_t first, std::int64_t n)
      : query_(query),
        first_(first),
        n_(n),
        screen_(*query.exact.screen),
        values_(static_cast<const float*>(query.exact.queries) + first * query.exact.rows.dim),
        queries_(screen_, values_, n, 1),
        group_(screen_),
        candidates_(static_cast<std::size_t>(n)) {
    scorers_.reserve(static_cast<std::size_t>(n));
    for (std::int64_t q = 0; q < n; ++q) {
      scorers_.emplace_back(query.exact.rows, query.exact.norms, query.exact.metric,
                            values_ + q * query.exact.rows.dim);
    }
  }

  void search(std::int64_t k) {
    for (std::int64_t q = 0; q < n_; ++q) at(q).start_top(k, query_.exact.ties, value_scale(q));
    sweep_probes(0, std::min<std::int64_t>(1, query_.n_probes));
    sweep_probes(1, query_.n_probes);
  }

  const std::vector<Scored>& finish(std::int64_t q) { return at(q).finish(scorer(q)); }

 private:
  Candidates& at(std::int64_t q) { return candidates_[static_cast<std::size_t>(q)]; }
  const Scorer& scorer(std::int64_t q) const { return scorers_[static_cast<std::size_t>(q)]; }

  ValueScale value_scale(std::int64_t q) const {
    ValueScale scale;
    const double square = queries_.terms(q).square;
    if (query_.exact.metric == Metric::kCosine) scale.multiply = std::sqrt(square);
    if (query_.exact.metric == Metric::kL2) scale.add = square;
    scale.absolute = queries_.slack(q);
    return scale;
  }

  float limit(std::int64_t q, const BlockMaxima& maxima) {
    const double room = at(q).threshold() - queries_.slack(q, maxima);
    return static_cast<float>(room / queries_.terms(q).step);
  }

  // Visits the lists that queries have at ranks [from, to) of their probes, list by list.
  void sweep_probes(std::int64_t from, std::int64_t to) {
    if (from >= to) return;
    const auto lists = static_cast<std::size_t>(query_.n_lists);
    ends_.assign(lists + 1, 0);
    for_each_probe(from, to, [&](std::size_t list, std::int64_t) { ++ends_[list + 1]; });
    for (std::size_t i = 0; i < lists; ++i) ends_[i + 1] += ends_[i];
    members_.resize(static_cast<std::size_t>(ends_[lists]));
    for_each_probe(from, to, [&](std::size_t list, std::int64_t q) {
      members_[static_cast<std::size_t>(ends_[list]++)] = q;
    });
    std::int64_t begin = 0;
    for (std::size_t list = 0; list < lists; ++list) {
      const std::int64_t end = ends_[list];
      for (; begin < end; begin += group_.most()) {
        const auto n = static_cast<int>(std::min<std::int64_t>(group_.most(), end - begin));
        group_.gather(queries_, members_.data() + begin, n);
        sweep_list(query_.starts[list], query_.starts[list + 1], n);
      }
      begin = end;
    }
  }

  template <class Visit>
  void for_each_probe(std::int64_t from, std::int64_t to, const Visit& visit) const {
    for (std::int64_t q = 0; q < n_; ++q) {
      const std::int64_t* probes = query_.probes + (first_ + q) * query_.n_probes;
      for (std::int64_t i = from; i < to; ++i) {
        if (probes[i] >= 0) visit(static_cast<std::size_t>(probes[i]), q);
      }
    }
  }

  // Offers the places [place, last) to the n queries of the group.
  void sweep_list(std::int64_t place, std::int64_t last, int n) {
    while (place < last) {
      poll_interrupt();
      const std::int64_t block = place / kScreenBlock;
      const std::int64_t end = std::min(last, (block + 1) * kScreenBlock);
      const BlockMaxima& maxima = screen_.blocks()[block];
      for (int i = 0; i < n; ++i) {
        const auto index = static_cast<std::size_t>(i);
        group_.scratch().limits[index] = limit(group_.query(index), maxima);
      }
      for (; place < end; place += kPair) sweep_pair(place, maxima);
    }
  }

  void sweep_pair(std::int64_t place, const BlockMaxima& maxima) {
    const ScreenShape& shape = screen_.shape();
    ScreenScratch& scratch = group_.scratch();
    const std::int64_t n_hits =
        panel_kernels().filter_int8(group_.queries(), queries_.panel_pair(place), shape.head_groups,
                                    shape.groups - shape.head_groups, scratch.hits.data());
    for (std::int64_t h = 0; h < n_hits; ++h) {
      const PanelHit& hit = scratch.hits[static_cast<std::size_t>(h)];
      if (place + hit.row >= shape.n) continue;
      const std::int64_t row = query_.order[place + hit.row];
      if (row < 0) continue;
      if (query_.exact.mask != nullptr && query_.exact.mask[row] == 0) continue;
      const std::int64_t q = group_.query(hit.query);
      if (!at(q).add(row, static_cast<double>(hit.value) * queries_.terms(q).step)) continue;
      if (at(q).tighten()) at(q).settle(scorer(q));
      scratch.limits[hit.query] = limit(q, maxima);
    }
  }

  const ListQuery& query_;
  std::int64_t first_;
  std::int64_t n_;
  const Screen& screen_;
  const float* values_;
  ScreenQueries queries_;
  Group group_;
  std::vector<Candidates> candidates_;
  std::vector<Scorer> scorers_;
  std::vector<std::int64_t> ends_;
  std::vector<std::int64_t> members_;
};

}  // namespace

void list_search(const ListQuery& query, std::int64_t k, std::int64_t* positions, double* scores,
                 std::int64_t* counts) {
  const std::int64_t n_queries = query.exact.n_queries;
  std::fill_n(positions, n_queries * k, std::int64_t{-1});
  std::fill_n(scores, n_queries * k, -std::numeric_limits<double>::infinity());
  std::fill_n(counts, n_queries, std::int64_t{0});
  if (k == 0 || n_queries == 0 || query.n_lists == 0) return;
  const int n_jobs = resolve_jobs(query.exact.n_jobs);
  const std::int64_t share = (n_queries + n_jobs - 1) / n_jobs;
  const std::int64_t size = std::clamp<std::int64_t>(share, 1, kMostQueries);
  parallel_for((n_queries + size - 1) / size, n_jobs, [&](std::int64_t task, int) {
    const std::int64_t first = task * size;
    const std::int64_t n = std::min(size, n_queries - first);
    Block block(query, first, n);
    block.search(k);
    for (std::int64_t q = 0; q < n; ++q) {
      const std::vector<Scored>& best = block.finish(q);
      const std::int64_t at = (first + q) * k;
      for (std::size_t i = 0; i < best.size(); ++i) {
        positions[at + static_cast<std::int64_t>(i)] = best[i].row;
        scores[at + static_cast<std::int64_t>(i)] = best[i].score;
      }
      counts[first + q] = static_cast<std::int64_t>(best.size());
    }
  });
}

}  // namespace vl
