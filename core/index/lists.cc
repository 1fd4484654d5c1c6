// SPDX-License-Identifier: Apache-2.0
#include "index/lists.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
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
constexpr std::size_t kRoom = 16;  // thresholds rise early: a query meets few rows in all
constexpr int kBlock = 12;  // queries that kernels take at once; a block that is a third full is
                            // faster than queries one by one

// Queries of a list, side by side as the kernels want them.
class Group {
 public:
  Group(const Screen& screen, std::int64_t n_queries)
      : most_(static_cast<int>(
            std::min<std::int64_t>(ScreenQueries::per_sweep(screen),
                                   (n_queries + kQueryPad - 1) / kQueryPad * kQueryPad))),
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
    const int padded = std::min(most_, (n + 2 * kQueryPad - 1) / kQueryPad * kQueryPad);
    std::fill(scratch_.limits.begin() + n, scratch_.limits.begin() + padded,
              std::numeric_limits<float>::infinity());
    queries_.row_bytes = row_bytes_;
    queries_.codes = codes_.data();
    queries_.n = n % kBlock < kBlock / 3 ? n : std::min(most_, (n / kBlock + 1) * kBlock);
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

// Running maxima that compilers keep in vector registers; std::max_element follows one.
float largest_of(const float* values, std::int64_t n) {
  constexpr int kWidth = 16;
  float most[kWidth];
  std::fill_n(most, kWidth, values[0]);
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    for (int j = 0; j < kWidth; ++j) most[j] = values[i + j] > most[j] ? values[i + j] : most[j];
  }
  for (; i < n; ++i) most[0] = std::max(most[0], values[i]);
  return *std::max_element(most, most + kWidth);
}

// The lists that each of some queries probes: those of query q at [starts[q], starts[q + 1]).
struct Probes {
  struct Probe {
    std::int32_t list;
    std::int32_t phase;  // in which it is visited: nearest lists set thresholds for the others
  };
  static constexpr int kPhases = 3;
  std::vector<std::int64_t> starts{0};
  std::vector<Probe> probes;

  void add(const float* nearness, std::int64_t n_lists, std::int64_t n_probes, float gap) {
    const float top = largest_of(nearness, n_lists);
    const auto nearest = std::find(nearness, nearness + n_lists, top) - nearness;
    float least = top - gap;
    if (n_probes > 0) least = nth(nearness, n_lists, n_probes);
    const float near = top - 0.5F * (top - least);
    probes.push_back({static_cast<std::int32_t>(nearest), 0});
    for (std::int64_t j = 0; j < n_lists; ++j) {
      if (nearness[j] >= least && j != nearest)
        probes.push_back({static_cast<std::int32_t>(j), nearness[j] >= near ? 1 : 2});
    }
    starts.push_back(static_cast<std::int64_t>(probes.size()));
  }

 private:
  // The n-th largest value; the smallest where there are no more.
  float nth(const float* values, std::int64_t n_values, std::int64_t n) {
    copy_.assign(values, values + n_values);
    const auto at = copy_.begin() + (std::min(n, n_values) - 1);
    std::nth_element(copy_.begin(), at, copy_.end(), std::greater<>());
    return *at;
  }
  std::vector<float> copy_;
};

// A block of queries, searched by one thread.
class Block {
 public:
  Block(const Lists& lists, const ExactQuery& query, std::int64_t first, std::int64_t n)
      : lists_(lists),
        query_(query),
        n_(n),
        screen_(lists.screen()),
        values_(static_cast<const float*>(query.queries) + first * query.rows.dim),
        queries_(screen_, values_, n, 1),
        group_(screen_, n),
        candidates_(static_cast<std::size_t>(n)) {
    scorers_.reserve(static_cast<std::size_t>(n));
    for (std::int64_t q = 0; q < n; ++q) {
      scorers_.emplace_back(query.rows, query.norms, query.metric, values_ + q * query.rows.dim);
    }
  }

  void search(const Probing& probing, std::int64_t k) {
    caution_ = probing.caution;
    for (std::int64_t q = 0; q < n_; ++q) at(q).start_top(k, query_.ties, value_scale(q), kRoom);
    choose(probing);
    for (int phase = 0; phase < Probes::kPhases; ++phase) sweep(phase);
  }

  const std::vector<Scored>& finish(std::int64_t q) { return at(q).finish(scorer(q)); }

 private:
  Candidates& at(std::int64_t q) { return candidates_[static_cast<std::size_t>(q)]; }
  const Scorer& scorer(std::int64_t q) const { return scorers_[static_cast<std::size_t>(q)]; }

  ValueScale value_scale(std::int64_t q) const {
    ValueScale scale;
    const double square = queries_.terms(q).square;
    if (query_.metric == Metric::kCosine) scale.multiply = std::sqrt(square);
    if (query_.metric == Metric::kL2) scale.add = square;
    scale.absolute = caution_ * queries_.slack(q);
    return scale;
  }

  float limit(std::int64_t q, const BlockMaxima& maxima) {
    const double room = at(q).threshold() - caution_ * queries_.slack(q, maxima);
    return static_cast<float>(room / queries_.terms(q).step);
  }

  void choose(const Probing& probing) {
    Turn::Scratch scratch = lists_.scratch();
    for (std::int64_t first = 0; first < n_; first += kTurnRows) {
      const auto n = static_cast<int>(std::min<std::int64_t>(kTurnRows, n_ - first));
      lists_.nearness(values_ + first * query_.rows.dim, n, scratch);
      for (int i = 0; i < n; ++i) {
        double gap = probing.gap;
        if (query_.metric != Metric::kL2) gap *= scorer(first + i).query_norm();
        probes_.add(scratch.out.data() + i * lists_.stride(), lists_.n_lists(), probing.n_probes,
                    static_cast<float>(gap));
      }
    }
  }

  // Visits the lists of one phase, list by list.
  void sweep(int phase) {
    const auto n_lists = static_cast<std::size_t>(lists_.n_lists());
    ends_.assign(n_lists + 1, 0);
    for (const Probes::Probe& probe : probes_.probes) {
      if (probe.phase == phase) ++ends_[static_cast<std::size_t>(probe.list) + 1];
    }
    for (std::size_t i = 0; i < n_lists; ++i) ends_[i + 1] += ends_[i];
    members_.resize(static_cast<std::size_t>(ends_[n_lists]));
    for (std::int64_t q = 0; q < n_; ++q) {
      const std::int64_t* starts = probes_.starts.data() + q;
      for (std::int64_t i = starts[0]; i < starts[1]; ++i) {
        const Probes::Probe& probe = probes_.probes[static_cast<std::size_t>(i)];
        if (probe.phase != phase) continue;
        members_[static_cast<std::size_t>(ends_[static_cast<std::size_t>(probe.list)]++)] = q;
      }
    }
    std::int64_t begin = 0;
    for (std::size_t list = 0; list < n_lists; ++list) {
      const std::int64_t end = ends_[list];
      const auto number = static_cast<std::int64_t>(list);
      for (; begin < end; begin += group_.most()) {
        const auto n = static_cast<int>(std::min<std::int64_t>(group_.most(), end - begin));
        group_.gather(queries_, members_.data() + begin, n);
        sweep_list(lists_.start(number), lists_.start(number + 1), n);
      }
      begin = end;
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
      const std::int64_t row = lists_.row_at(place + hit.row);
      if (row < 0) continue;
      if (query_.mask != nullptr && query_.mask[row] == 0) continue;
      const std::int64_t q = group_.query(hit.query);
      if (!at(q).add(row, static_cast<double>(hit.value) * queries_.terms(q).step)) continue;
      if (at(q).tighten()) at(q).settle(scorer(q));
      scratch.limits[hit.query] = limit(q, maxima);
    }
  }

  const Lists& lists_;
  const ExactQuery& query_;
  std::int64_t n_;
  const Screen& screen_;
  const float* values_;
  ScreenQueries queries_;
  Group group_;
  double caution_ = 1.0;
  Probes probes_;
  std::vector<Candidates> candidates_;
  std::vector<Scorer> scorers_;
  std::vector<std::int64_t> ends_;
  std::vector<std::int64_t> members_;
};

}  // namespace

Lists::Lists(const Screen& screen, const std::int64_t* order, const std::int64_t* starts,
             std::int64_t n_lists, const float* centroids)
    : screen_(screen),
      order_(order),
      starts_(starts),
      n_lists_(n_lists),
      turn_(centroids, n_lists, screen.shape().dim,
            std::vector<float>(static_cast<std::size_t>(screen.shape().dim)).data()) {
  if (screen.shape().metric != Metric::kL2) return;
  for (std::int64_t j = 0; j < n_lists; ++j) {
    const double norm = vector_norm(centroids + j * screen.shape().dim, screen.shape().dim);
    squares_.push_back(static_cast<float>(norm * norm));
  }
}

void Lists::nearness(const float* queries, int n, Turn::Scratch& scratch) const {
  turn_.apply(queries, n, scratch);
  if (squares_.empty()) return;
  for (int i = 0; i < n; ++i) {
    float* out = scratch.out.data() + i * stride();
    for (std::int64_t j = 0; j < n_lists_; ++j)
      out[j] = 2.0F * out[j] - squares_[static_cast<std::size_t>(j)];
  }
}

void Lists::search(const ExactQuery& query, const Probing& probing, std::int64_t k,
                   std::int64_t* positions, double* scores, std::int64_t* counts) const {
  const std::int64_t n_queries = query.n_queries;
  std::fill_n(positions, n_queries * k, std::int64_t{-1});
  std::fill_n(scores, n_queries * k, -std::numeric_limits<double>::infinity());
  std::fill_n(counts, n_queries, std::int64_t{0});
  if (k == 0 || n_queries == 0 || n_lists_ == 0) return;
  const int n_jobs = resolve_jobs(query.n_jobs);
  const std::int64_t share = (n_queries + n_jobs - 1) / n_jobs;
  const std::int64_t size = std::clamp<std::int64_t>(share, 1, kMostQueries);
  parallel_for((n_queries + size - 1) / size, n_jobs, [&](std::int64_t task, int) {
    const std::int64_t first = task * size;
    const std::int64_t n = std::min(size, n_queries - first);
    Block block(*this, query, first, n);
    block.search(probing, k);
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
