// SPDX-License-Identifier: Apache-2.0
// The exact neighbour graph. With a screen every pair of rows is multiplied once and offered to
// both of its rows: half the products of n searches, and thresholds that are warm from the first
// block on, because a row has met all rows before it by then.
//
// Collectors work in scores, the same for both sides: value = m score + o with m, o = |q'|, 0
// (cosine), 1, 0 (ip), 1, |q'|^2 (l2). A pair is kept when m max-possible-score + o + E reaches the
// smaller of the two thresholds, and then offered to each side whose threshold it reaches; its
// score is wrong by at most E / m. Memory: a collector a row, about k + 64 values of 8 bytes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "index/candidates.h"
#include "index/exact.h"
#include "index/screen_queries.h"

namespace vl {
namespace {

constexpr std::int64_t kChunkRows = 8 * kScreenBlock;  // rows a task sweeps: about 30 ms

// Scores one stored row against others, decoding it first where it is not float32.
class RowScorer {
 public:
  RowScorer(const Rows& rows, const double* norms, Metric metric)
      : rows_(rows), norms_(norms), metric_(metric), values_(static_cast<std::size_t>(rows.dim)) {}
  const Scorer& of(std::int64_t row) {
    const void* query = rows_.row(row);
    if (rows_.kind != Kind::kFloat32 && rows_.kind != Kind::kBits) {
      decode_row(rows_, row, values_.data());
      query = values_.data();
    }
    scorer_ = Scorer(rows_, norms_, metric_, query);
    return scorer_;
  }

 private:
  const Rows& rows_;
  const double* norms_;
  Metric metric_;
  std::vector<float> values_;
  Scorer scorer_;
};

class MutualSweep {
 public:
  MutualSweep(const Rows& rows, const double* norms, const Screen& screen, Metric metric,
              std::int64_t k, int n_jobs)
      : rows_(rows),
        norms_(norms),
        screen_(screen),
        metric_(metric),
        k_(k),
        n_jobs_(n_jobs),
        step_(ScreenQueries::per_sweep(screen)),
        collectors_(static_cast<std::size_t>(rows.n)),
        limits_(static_cast<std::size_t>(screen.padded_rows()), -kInfinity) {
    for (Candidates& c : collectors_) c.start_top(k, nullptr, ValueScale{});
    std::fill(limits_.begin() + rows.n, limits_.end(), kInfinity);
    workers_.reserve(static_cast<std::size_t>(n_jobs));
    for (int w = 0; w < n_jobs; ++w) workers_.emplace_back(step_, rows_, norms_, metric_);
  }

  void run() {
    std::vector<float> values;
    for (std::int64_t first = 0; first < rows_.n; first += step_) {
      const auto n = static_cast<int>(std::min<std::int64_t>(step_, rows_.n - first));
      const float* queries = static_cast<const float*>(rows_.data) + first * rows_.dim;
      if (rows_.kind != Kind::kFloat32) {
        values.resize(static_cast<std::size_t>(n * rows_.dim));
        for (int i = 0; i < n; ++i) decode_row(rows_, first + i, values.data() + i * rows_.dim);
        queries = values.data();
      }
      sweep_queries(ScreenQueries(screen_, queries, n, n_jobs_), first, n);
    }
  }

  void finish(std::int64_t* positions, float* scores) {
    constexpr std::int64_t kBlock = 256;
    parallel_for((rows_.n + kBlock - 1) / kBlock, n_jobs_, [&](std::int64_t task, int) {
      RowScorer scorer(rows_, norms_, metric_);
      const std::int64_t last = std::min(rows_.n, (task + 1) * kBlock);
      for (std::int64_t row = task * kBlock; row < last; ++row) {
        Candidates& mine = collectors_[static_cast<std::size_t>(row)];
        const std::vector<Scored>& best = mine.finish(scorer.of(row));
        for (std::size_t i = 0; i < best.size(); ++i) {
          positions[row * k_ + static_cast<std::int64_t>(i)] = best[i].row;
          scores[row * k_ + static_cast<std::int64_t>(i)] = static_cast<float>(best[i].score);
        }
        mine = Candidates();
      }
    });
  }

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  // One query's side of the equations at the head of this file.
  struct Side {
    double multiply = 1.0;
    double add = 0.0;
  };

  struct Worker {
    Worker(int n, const Rows& rows, const double* norms, Metric metric)
        : scratch(n), scorer(rows, norms, metric), mine(static_cast<std::size_t>(n)) {}
    ScreenScratch scratch;
    RowScorer scorer;
    std::vector<Candidates> mine;  // what this worker found for the queries
  };

  Side side_of(const ScreenQueries& queries, int i) const {
    const double square = queries.terms(i).square;
    if (metric_ == Metric::kCosine) return {std::sqrt(square), 0.0};
    if (metric_ == Metric::kL2) return {1.0, square};
    return {};
  }

  // A float32 limit at or below the threshold.
  static float limit_of(const Candidates& c) {
    const double threshold = c.threshold();
    return static_cast<float>(threshold - std::abs(threshold) * 0x1p-22);
  }

  void sweep_queries(const ScreenQueries& queries, std::int64_t first, int n) {
    std::vector<Side> sides;
    std::vector<float> weights(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) {
      sides.push_back(side_of(queries, i));
      weights[static_cast<std::size_t>(i)] =
          static_cast<float>(sides.back().multiply / queries.terms(i).step);
    }
    for (Worker& worker : workers_) start(worker, first, n);
    const std::int64_t begin = first / kScreenBlock * kScreenBlock;
    const std::int64_t n_tasks = (rows_.n - begin + kChunkRows - 1) / kChunkRows;
    parallel_for(n_tasks, n_jobs_, [&](std::int64_t task, int worker) {
      Worker& mine = workers_[static_cast<std::size_t>(worker)];
      const std::int64_t start_row = begin + task * kChunkRows;
      const std::int64_t end = std::min(rows_.n, start_row + kChunkRows);
      for (std::int64_t row = start_row; row < end; row += kScreenBlock) {
        poll_interrupt();
        sweep_block(queries, sides, weights, first, n, row / kScreenBlock, mine);
      }
    });
    for (Worker& worker : workers_) collect(worker, first, n);
  }

  void start(Worker& worker, std::int64_t first, int n) {
    for (int i = 0; i < n; ++i) {
      const Candidates& known = collectors_[static_cast<std::size_t>(first + i)];
      Candidates& mine = worker.mine[static_cast<std::size_t>(i)];
      mine.start_top(k_, nullptr, ValueScale{});
      mine.raise(known.threshold());
      worker.scratch.limits[static_cast<std::size_t>(i)] = limit_of(mine);
    }
    std::fill(worker.scratch.limits.begin() + n, worker.scratch.limits.end(), kInfinity);
  }

  void collect(Worker& worker, std::int64_t first, int n) {
    for (int i = 0; i < n; ++i) {
      const std::int64_t row = first + i;
      Candidates& all = collectors_[static_cast<std::size_t>(row)];
      all.absorb(worker.mine[static_cast<std::size_t>(i)]);
      if (all.tighten()) all.settle(worker.scorer.of(row));
      limits_[static_cast<std::size_t>(row)] = limit_of(all);
    }
  }

  // Rows of this block belong to this worker alone, so their collectors and limits are its to
  // change. Queries may be among them (on the diagonal): those are only read through the worker's
  // own copy.
  void sweep_block(const ScreenQueries& queries, const std::vector<Side>& sides,
                   const std::vector<float>& weights, std::int64_t first, int n, std::int64_t block,
                   Worker& worker) {
    const BlockMaxima& maxima = screen_.blocks()[block];
    std::vector<float> offsets(weights.size());
    std::vector<double> slacks(weights.size());
    for (int i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      slacks[at] = queries.slack(i, maxima);
      offsets[at] = static_cast<float>((sides[at].add - slacks[at]) / queries.terms(i).step);
    }
    PanelQueries arguments = queries.panel_queries(0, n);
    arguments.limit = worker.scratch.limits.data();
    arguments.weight = weights.data();
    arguments.offset = offsets.data();
    arguments.survivor_values = worker.scratch.survivor_values.data();
    arguments.survivors = worker.scratch.survivors.data();
    const ScreenShape& shape = screen_.shape();
    const std::int64_t end = std::min(rows_.n, (block + 1) * kScreenBlock);
    for (std::int64_t row = block * kScreenBlock; row < end; row += 2 * kPanelRows) {
      PanelPair pair = queries.panel_pair(row);
      pair.limit = limits_.data() + row;
      const std::int64_t n_hits =
          panel_kernels().filter_int8(arguments, pair, shape.head_groups,
                                      shape.groups - shape.head_groups, worker.scratch.hits.data());
      for (std::int64_t h = 0; h < n_hits; ++h) {
        const PanelHit& hit = worker.scratch.hits[static_cast<std::size_t>(h)];
        const Side& side = sides[hit.query];
        const double value = static_cast<double>(hit.value) * queries.terms(hit.query).step;
        const double score = (value - side.add) / side.multiply;
        offer(first + hit.query, row + hit.row, score, slacks[hit.query] / side.multiply, first,
              worker);
      }
    }
  }

  void offer(std::int64_t q, std::int64_t row, double score, double slack, std::int64_t first,
             Worker& worker) {
    if (row <= q || row >= rows_.n) return;  // each pair once, no row with itself, no padding
    const auto i = static_cast<std::size_t>(q - first);
    Candidates& of_query = worker.mine[i];
    of_query.widen(slack);
    if (of_query.add(row, score)) {
      if (of_query.tighten()) of_query.settle(worker.scorer.of(q));
      worker.scratch.limits[i] = limit_of(of_query);
    }
    Candidates& of_row = collectors_[static_cast<std::size_t>(row)];
    of_row.widen(slack);
    if (of_row.add(q, score)) {
      if (of_row.tighten()) of_row.settle(worker.scorer.of(row));
      limits_[static_cast<std::size_t>(row)] = limit_of(of_row);
    }
  }

  const Rows& rows_;
  const double* norms_;
  const Screen& screen_;
  Metric metric_;
  std::int64_t k_;
  int n_jobs_;
  int step_;
  std::vector<Candidates> collectors_;
  std::vector<Worker> workers_;
  std::vector<float> limits_;  // by row, in scores; +inf for padding
};

// n searches, a batch at a time: without a screen, and where float32 cannot hold the squares.
void search_all(const ExactQuery& base, std::int64_t k, std::int64_t* positions, float* scores) {
  const Rows& rows = base.rows;
  const bool in_place = rows.kind == Kind::kFloat32 || rows.kind == Kind::kBits;
  const std::int64_t step =
      std::min<std::int64_t>(rows.n, 960 * static_cast<std::int64_t>(base.n_jobs));
  std::vector<float> values(in_place ? 0 : static_cast<std::size_t>(step * rows.dim));
  std::vector<std::int64_t> self(static_cast<std::size_t>(step));
  std::vector<double> exact(static_cast<std::size_t>(step * k));
  std::vector<std::int64_t> counts(static_cast<std::size_t>(step));
  ExactQuery query = base;
  for (std::int64_t first = 0; first < rows.n; first += step) {
    const std::int64_t n = std::min(step, rows.n - first);
    for (std::int64_t i = 0; i < n; ++i) {
      self[static_cast<std::size_t>(i)] = first + i;
      if (!in_place) decode_row(rows, first + i, values.data() + i * rows.dim);
    }
    query.queries = in_place ? rows.row(first) : values.data();
    query.n_queries = n;
    query.exclude = self.data();
    exact_search(query, k, positions + first * k, exact.data(), counts.data());
    std::transform(exact.data(), exact.data() + n * k, scores + first * k,
                   [](double s) { return static_cast<float>(s); });
  }
}

}  // namespace

void exact_knn_graph(const Rows& rows, const double* norms, const Screen* screen, Metric metric,
                     std::int64_t k, int n_jobs, std::int64_t* positions, float* scores) {
  if (rows.n == 0 || k == 0) return;
  n_jobs = resolve_jobs(n_jobs);
  if (screen != nullptr && screen->shape().largest_norm < kFastNorm) {
    std::fill_n(positions, rows.n * k, std::int64_t{-1});
    std::fill_n(scores, rows.n * k, -std::numeric_limits<float>::infinity());
    MutualSweep sweep(rows, norms, *screen, metric, k, n_jobs);
    sweep.run();
    sweep.finish(positions, scores);
    return;
  }
  ExactQuery query;
  query.rows = rows;
  query.norms = norms;
  query.screen = screen;
  query.metric = metric;
  query.n_jobs = n_jobs;
  search_all(query, k, positions, scores);
}

}  // namespace vl
