// SPDX-License-Identifier: Apache-2.0
// Which items are scored at all.
//
// For query vectors q_i and any heights h_i, what a sweep of the int8 Screen passes over is lower
// than h_i, so with its estimates v, wrong by at most E_i (screen.h),
//   score(item) <= U(item) = sum_i max(h_i, max_j v_ij + E_i),   j over what was passed on.
// Items are scored in the order of falling U until U is below the k-th best score. Heights decide
// how fast this is and never the answer: high ones let the heads of rows (screen.h) rule out almost
// all products, low ones make U tight. They are a quantile, over a sample of items, of what an item
// reaches on q_i: almost every item then counts as h_i for almost every i, and the best items stand
// out by the many vectors on which they pass.
// Cost: head dimensions of every row for every query vector once, at the rate of int8 products; a
// few dozen items to the end. Memory: eight bytes an item and query of a group.
#include "index/maxsim.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/threads.h"
#include "index/maxsim_item.h"

namespace vl {
namespace {

constexpr std::int64_t kPairRows = 2 * kPanelRows;
constexpr std::int64_t kTaskRows = 8192;
constexpr std::int64_t kTaskItems = 1024;
constexpr std::int64_t kSampleRows = 16384;  // at most, and at most one row in kSampleShare
constexpr std::int64_t kSampleShare = 24;
constexpr std::int64_t kSampleLeast = 24;  // items
constexpr double kQuantile = 0.9;
// Below this share of items a sweep of all would cost more than scoring those that are left.
constexpr std::int64_t kFewShare = 8;
constexpr double kLowest = -std::numeric_limits<double>::infinity();

bool admitted(const MaxSimItems& items, std::int64_t item) {
  return items.mask == nullptr || items.mask[item] != 0;
}

std::int64_t tie_of(const MaxSimItems& items, std::int64_t item) {
  return items.ties != nullptr ? items.ties[item] : item;
}

// Estimates of a range of items for a group of query vectors.
class Sweep {
 public:
  Sweep(const MaxSimItems& items, const float* values, std::int64_t n_vectors, int n_jobs);

  // best (n_vectors, last - first) = max over an item's rows of the values passed on at `heights`,
  // -inf where there is none.
  void run(std::int64_t first, std::int64_t last, const double* heights, float* best,
           ScreenScratch& scratch) const;
  double slack(std::int64_t i) const { return slacks_[static_cast<std::size_t>(i)]; }
  double weight(std::int64_t i) const { return weights_[static_cast<std::size_t>(i)]; }
  std::int64_t n_vectors() const { return n_vectors_; }

 private:
  void take(const PanelHit* hits, std::int64_t n_hits, const std::int32_t* item_of,
            std::int64_t width, float* best) const;

  const MaxSimItems& items_;
  std::int64_t n_vectors_;
  ScreenQueries coded_;
  std::vector<double> slacks_, weights_;
  std::vector<float> steps_;
};

Sweep::Sweep(const MaxSimItems& items, const float* values, std::int64_t n_vectors, int n_jobs)
    : items_(items), n_vectors_(n_vectors), coded_(*items.screen, values, n_vectors, n_jobs) {
  for (std::int64_t i = 0; i < n_vectors; ++i) {
    slacks_.push_back(coded_.slack(i));
    const double length = std::sqrt(coded_.terms(i).square);
    weights_.push_back(items.metric == Metric::kCosine ? 1.0 / length : 1.0);
    steps_.push_back(static_cast<float>(coded_.terms(i).step));
  }
}

void Sweep::take(const PanelHit* hits, std::int64_t n_hits, const std::int32_t* item_of,
                 std::int64_t width, float* best) const {
  for (std::int64_t h = 0; h < n_hits; ++h) {
    const PanelHit& hit = hits[h];
    const std::int32_t item = item_of[hit.row];
    if (item < 0) continue;
    float& mine = best[static_cast<std::int64_t>(hit.query) * width + item];
    mine = std::max(mine, hit.value * steps_[hit.query]);
  }
}

void Sweep::run(std::int64_t first, std::int64_t last, const double* heights, float* best,
                ScreenScratch& scratch) const {
  const ScreenShape& shape = items_.screen->shape();
  const std::int64_t width = last - first;
  std::fill_n(best, n_vectors_ * width, -std::numeric_limits<float>::infinity());
  for (std::int64_t i = 0; i < n_vectors_; ++i) {
    const auto at = static_cast<std::size_t>(i);
    scratch.limits[at] = static_cast<float>((heights[i] - slacks_[at]) / coded_.terms(i).step);
  }
  PanelQueries queries = coded_.panel_queries(0, static_cast<int>(n_vectors_));
  queries.limit = scratch.limits.data();
  queries.survivor_values = scratch.survivor_values.data();
  queries.survivors = scratch.survivors.data();
  const PanelFilter filter = panel_kernels().filter_int8;
  const std::int64_t end = items_.offsets[last];
  std::int32_t item_of[kPairRows];
  std::int64_t item = first;
  for (std::int64_t row = items_.offsets[first] / kPairRows * kPairRows; row < end;
       row += kPairRows) {
    for (std::int64_t j = 0; j < kPairRows; ++j) {
      while (item < last && row + j >= items_.offsets[item + 1]) ++item;
      const bool inside = row + j >= items_.offsets[first] && item < last;
      item_of[j] = inside ? static_cast<std::int32_t>(item - first) : -1;
    }
    const std::int64_t n_hits = filter(queries, coded_.panel_pair(row), shape.head_groups,
                                       shape.groups - shape.head_groups, scratch.hits.data());
    take(scratch.hits.data(), n_hits, item_of, width, best);
  }
}

// Quantiles over a sample of what an item reaches on each query vector.
std::vector<double> find_heights(const Sweep& sweep, const MaxSimItems& items) {
  const auto n_vectors = static_cast<std::size_t>(sweep.n_vectors());
  const std::int64_t rows = items.offsets[items.n] - items.offsets[0];
  const std::int64_t most = std::min(kSampleRows, rows / kSampleShare);
  const std::int64_t wanted =
      std::clamp(most * items.n / std::max<std::int64_t>(rows, 1), kSampleLeast, items.n);
  const std::vector<double> lowest(n_vectors, kLowest);
  std::vector<std::vector<float>> reached(n_vectors);
  std::vector<float> best(n_vectors);
  ScreenScratch scratch(static_cast<int>(n_vectors));
  for (std::int64_t s = 0; s < wanted; ++s) {
    const std::int64_t item = s * items.n / wanted;
    if (!admitted(items, item)) continue;
    poll_interrupt();
    sweep.run(item, item + 1, lowest.data(), best.data(), scratch);
    for (std::size_t i = 0; i < n_vectors; ++i) reached[i].push_back(best[i]);
  }
  std::vector<double> heights(n_vectors, kLowest);
  for (std::size_t i = 0; i < n_vectors && !reached[i].empty(); ++i) {
    const auto n = static_cast<double>(reached[i].size());
    const auto rank = static_cast<std::ptrdiff_t>(kQuantile * (n - 1.0));
    std::nth_element(reached[i].begin(), reached[i].begin() + rank, reached[i].end());
    heights[i] = reached[i][static_cast<std::size_t>(rank)];
  }
  return heights;
}

// Ranges of items of about kTaskRows rows.
std::vector<std::int64_t> task_bounds(const MaxSimItems& items) {
  std::vector<std::int64_t> bounds{0};
  for (std::int64_t d = 0; d < items.n; ++d) {
    const std::int64_t first = bounds.back();
    const bool full = items.offsets[d + 1] - items.offsets[first] > kTaskRows;
    if ((full && d > first) || d - first >= kTaskItems) bounds.push_back(d);
  }
  bounds.push_back(items.n);
  return bounds;
}

// What one worker needs for a task, kept for the next: fresh pages cost a tenth of the time.
struct Workspace {
  std::unique_ptr<ScreenScratch> scratch;
  std::vector<float> best;
};

// U of every item for the queries [first, last), (last - first, items.n).
std::vector<double> upper_bounds(const MaxSimItems& items, const MaxSimQueries& queries,
                                 std::int64_t first, std::int64_t last, int n_jobs) {
  const std::int64_t start = queries.offsets[first];
  const Sweep sweep(items, queries.values + start * items.rows.dim, queries.offsets[last] - start,
                    n_jobs);
  const std::vector<double> heights = find_heights(sweep, items);
  std::vector<double> upper(static_cast<std::size_t>((last - first) * items.n), 0.0);
  const std::vector<std::int64_t> bounds = task_bounds(items);
  const auto n_tasks = static_cast<std::int64_t>(bounds.size()) - 1;
  std::vector<Workspace> work(static_cast<std::size_t>(n_jobs));
  parallel_for(n_tasks, n_jobs, [&](std::int64_t task, int worker) {
    const std::int64_t from = bounds[static_cast<std::size_t>(task)];
    const std::int64_t to = bounds[static_cast<std::size_t>(task) + 1];
    const std::int64_t width = to - from;
    if (width == 0) return;
    poll_interrupt();
    Workspace& space = work[static_cast<std::size_t>(worker)];
    if (space.scratch == nullptr) {
      space.scratch = std::make_unique<ScreenScratch>(static_cast<int>(sweep.n_vectors()));
    }
    std::vector<float>& best = space.best;
    if (static_cast<std::int64_t>(best.size()) < sweep.n_vectors() * width) {
      best.resize(static_cast<std::size_t>(sweep.n_vectors() * width));
    }
    sweep.run(from, to, heights.data(), best.data(), *space.scratch);
    for (std::int64_t q = first; q < last; ++q) {
      double* out = upper.data() + (q - first) * items.n + from;
      for (std::int64_t i = queries.offsets[q] - start; i < queries.offsets[q + 1] - start; ++i) {
        const double height = heights[static_cast<std::size_t>(i)];
        const double slack = sweep.slack(i);
        const double weight = sweep.weight(i);
        const float* mine = best.data() + i * width;
        for (std::int64_t d = 0; d < width; ++d) {
          out[d] += weight * std::max(height, static_cast<double>(mine[d]) + slack);
        }
      }
    }
  });
  return upper;
}

// Scores items in the order of falling `upper` until the rest cannot matter.
void settle_query(const MaxSimItems& items, MaxSimScorer& scorer, const double* upper,
                  BestItems& best, std::int64_t k) {
  std::vector<std::int64_t> order;
  for (std::int64_t d = 0; d < items.n; ++d) {
    if (admitted(items, d)) order.push_back(d);
  }
  const auto falling = [&](std::int64_t a, std::int64_t b) {
    return upper[a] > upper[b] || (upper[a] == upper[b] && a < b);
  };
  // Sorted piece by piece: few are visited.
  std::size_t done = 0;
  std::size_t piece = static_cast<std::size_t>(4 * k + 64);
  while (done < order.size()) {
    const std::size_t until = std::min(order.size(), done + piece);
    const auto begin = order.begin() + static_cast<std::ptrdiff_t>(done);
    const auto middle = order.begin() + static_cast<std::ptrdiff_t>(until);
    std::nth_element(begin, middle == order.end() ? middle - 1 : middle, order.end(), falling);
    std::sort(begin, middle, falling);
    for (; done < until; ++done) {
      const std::int64_t item = order[done];
      if (upper[item] < best.least()) return;
      poll_interrupt();
      best.offer({scorer.score(item, best.least()), tie_of(items, item), item});
    }
    piece *= 2;
  }
}

// The end of the group of queries that begins at `first`.
std::int64_t group_end(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t first) {
  constexpr std::int64_t kMostBounds = 8 << 20;  // 64 MiB of them
  const std::int64_t most = std::max<std::int64_t>(1, kMostBounds / items.n);
  const std::int64_t vectors = ScreenQueries::per_sweep(*items.screen);
  std::int64_t last = first + 1;
  while (last < queries.n && last - first < most &&
         queries.offsets[last + 1] - queries.offsets[first] <= vectors) {
    ++last;
  }
  return last;
}

const float* values_of(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t q) {
  return queries.values + queries.offsets[q] * items.rows.dim;
}

std::int64_t vectors_of(const MaxSimQueries& queries, std::int64_t q) {
  return queries.offsets[q + 1] - queries.offsets[q];
}

void search_swept(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t k,
                  int n_jobs, const MaxSimAnswer& answer) {
  for (std::int64_t first = 0; first < queries.n;) {
    const std::int64_t last = group_end(items, queries, first);
    const std::vector<double> upper = upper_bounds(items, queries, first, last, n_jobs);
    parallel_for(last - first, n_jobs, [&](std::int64_t task, int) {
      const std::int64_t q = first + task;
      MaxSimScorer scorer(items, values_of(items, queries, q), vectors_of(queries, q));
      BestItems best(k);
      settle_query(items, scorer, upper.data() + task * items.n, best, k);
      best.write(q, answer);
    });
    first = last;
  }
}

// Scores the items [first, last) for one query.
void score_each(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t q,
                const std::int64_t* first, const std::int64_t* last, std::int64_t k,
                const MaxSimAnswer& answer) {
  MaxSimScorer scorer(items, values_of(items, queries, q), vectors_of(queries, q));
  BestItems best(k);
  for (; first < last; ++first) {
    poll_interrupt();
    if (!admitted(items, *first)) continue;
    best.offer({scorer.score(*first, best.least()), tie_of(items, *first), *first});
  }
  best.write(q, answer);
}

}  // namespace

void maxsim_rerank(const MaxSimItems& items, const MaxSimQueries& queries,
                   const std::int64_t* candidates, const std::int64_t* limits, std::int64_t k,
                   int n_jobs, const MaxSimAnswer& answer) {
  parallel_for(queries.n, n_jobs, [&](std::int64_t q, int) {
    score_each(items, queries, q, candidates + limits[q], candidates + limits[q + 1], k, answer);
  });
}

void maxsim_search(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t k,
                   int n_jobs, const MaxSimAnswer& answer) {
  std::vector<std::int64_t> allowed;
  for (std::int64_t d = 0; d < items.n; ++d) {
    if (admitted(items, d)) allowed.push_back(d);
  }
  const auto n_allowed = static_cast<std::int64_t>(allowed.size());
  const std::int64_t n_vectors = queries.offsets[queries.n] - queries.offsets[0];
  if (items.n > 0 && n_allowed * kFewShare >= items.n &&
      maxsim_screened(items, values_of(items, queries, 0), n_vectors)) {
    search_swept(items, queries, k, n_jobs, answer);
    return;
  }
  parallel_for(queries.n, n_jobs, [&](std::int64_t q, int) {
    score_each(items, queries, q, allowed.data(), allowed.data() + n_allowed, k, answer);
  });
}

}  // namespace vl
