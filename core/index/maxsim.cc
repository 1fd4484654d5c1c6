// SPDX-License-Identifier: Apache-2.0
// Which items are scored at all.
//
// With b_ij the bound of the int8 Screen's head (screen.h: product of the head plus the lengths of
// what is left of both vectors), which no score of query vector i and row j exceeds by more than
// E_i,
//   score(item) <= U(item) = sum_i max_j b_ij + E_i,   j over the item's rows.
// Items are taken in the order of falling U until U is below the k-th best score. Of each, int8
// products over all dimensions give a much closer bound (maxsim_item.h), and what is left after
// that, a few dozen items, is scored in float64.
// Cost: head dimensions of every row for every query vector once, at the rate of int8 products; all
// dimensions for the items whose U is high, a few in a hundred where the head holds most of the
// length. Memory: eight bytes an item and query of a group.
#include "index/maxsim.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/mapped.h"
#include "base/threads.h"
#include "index/maxsim_item.h"
#include "index/maxsim_reach.h"

namespace vl {
namespace {

constexpr std::int64_t kTaskRows = 8192;
constexpr std::int64_t kTaskItems = 1024;
// Below this share of items a sweep of all would cost more than scoring those that are left.
constexpr std::int64_t kFewShare = 8;

std::int64_t tie_of(const MaxSimItems& items, std::int64_t item) {
  return items.ties != nullptr ? items.ties[item] : item;
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
  std::unique_ptr<ReachScratch> scratch;
  std::vector<float> best;
};

// Of every item for the queries [first, last), (last - first, items.n): its U, or the estimate of
// its score.
std::vector<double> swept(const MaxSimItems& items, const MaxSimQueries& queries,
                          std::int64_t first, std::int64_t last, Reach kind, int n_jobs) {
  const std::int64_t start = queries.offsets[first];
  const std::int64_t n_vectors = queries.offsets[last] - start;
  const ScreenQueries coded(*items.screen, queries.values + start * items.rows.dim, n_vectors,
                            n_jobs);
  std::vector<double> sums(static_cast<std::size_t>((last - first) * items.n), 0.0);
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
    if (space.scratch == nullptr) space.scratch = std::make_unique<ReachScratch>(n_vectors);
    std::vector<float>& best = space.best;
    if (static_cast<std::int64_t>(best.size()) < n_vectors * width) {
      best.resize(static_cast<std::size_t>(n_vectors * width));
    }
    find_reach(items, coded, n_vectors, from, to, kind, *space.scratch, best.data());
    for (std::int64_t q = first; q < last; ++q) {
      double* out = sums.data() + (q - first) * items.n + from;
      for (std::int64_t i = queries.offsets[q] - start; i < queries.offsets[q + 1] - start; ++i) {
        const double weight = maxsim_weight(items, coded.terms(i));
        const double step = coded.terms(i).step * weight;
        const double slack = kind == Reach::kBound ? coded.slack(i) * weight : 0.0;
        const float* mine = best.data() + i * width;
        for (std::int64_t d = 0; d < width; ++d) out[d] += step * mine[d] + slack;
      }
    }
  });
  return sums;
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
    const std::vector<double> upper = swept(items, queries, first, last, Reach::kBound, n_jobs);
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

// The k best of a query by estimates, which are -inf for items that may not be returned.
void take_best(const MaxSimItems& items, const double* estimates, std::int64_t k, std::int64_t q,
               const MaxSimAnswer& answer) {
  BestItems best(k);
  for (std::int64_t d = 0; d < items.n; ++d) {
    if (estimates[d] >= best.least()) best.offer({estimates[d], tie_of(items, d), d});
  }
  best.write(q, answer);
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

void maxsim_will_need(const MaxSimItems& items, const std::int64_t* candidates, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t first = items.offsets[candidates[i]];
    const auto rows = static_cast<std::size_t>(items.offsets[candidates[i] + 1] - first);
    will_need(items.rows.row(first), rows * items.rows.stride());
    if (items.screen == nullptr) continue;
    const Screen& screen = *items.screen;
    will_need(screen.head() + first * screen.head_dim(),
              rows * static_cast<std::size_t>(screen.head_dim()));
    will_need(screen.rest() + first * screen.rest_dim(),
              rows * static_cast<std::size_t>(screen.rest_dim()));
  }
}

void maxsim_estimate(const MaxSimItems& items, const MaxSimQueries& queries, std::int64_t k,
                     int n_jobs, const MaxSimAnswer& answer) {
  const std::int64_t n_vectors = queries.offsets[queries.n] - queries.offsets[0];
  if (items.n == 0 || !maxsim_screened(items, values_of(items, queries, 0), n_vectors)) {
    maxsim_search(items, queries, k, n_jobs, answer);
    return;
  }
  for (std::int64_t first = 0; first < queries.n;) {
    const std::int64_t last = group_end(items, queries, first);
    const std::vector<double> sums = swept(items, queries, first, last, Reach::kEstimate, n_jobs);
    parallel_for(last - first, n_jobs, [&](std::int64_t task, int) {
      take_best(items, sums.data() + task * items.n, k, first + task, answer);
    });
    first = last;
  }
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
