// SPDX-License-Identifier: Apache-2.0
#include "index/exact.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/threads.h"
#include "index/candidates.h"
#include "index/source.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr double kTaskNanoseconds = 40e6;  // tasks this short keep Ctrl-C and load balance prompt
constexpr std::int64_t kPanelQueries =
    12;  // from here on packing rows costs less than rereading them

const void* query_at(const ExactQuery& query, std::int64_t q) {
  const std::size_t bytes = query.rows.kind == Kind::kBits
                                ? query.rows.stride()
                                : static_cast<std::size_t>(query.rows.dim) * 4;
  return static_cast<const unsigned char*>(query.queries) + static_cast<std::size_t>(q) * bytes;
}

ExactQuery slice(const ExactQuery& query, std::int64_t first, std::int64_t n) {
  ExactQuery part = query;
  part.queries = query_at(query, first);
  part.n_queries = n;
  if (query.exclude != nullptr) part.exclude = query.exclude + first;
  return part;
}

// One batch of queries, small enough that its candidates fit in memory.
class Batch {
 public:
  explicit Batch(const ExactQuery& query) : query_(query), n_jobs_(resolve_jobs(query.n_jobs)) {
    scorers_.reserve(static_cast<std::size_t>(query.n_queries));
    for (std::int64_t q = 0; q < query.n_queries; ++q) {
      scorers_.emplace_back(query.rows, query.norms, query.metric, query_at(query, q));
    }
    source_ = choose_source();
    plan();
  }

  // `start(candidates, query, scale)` readies one collector; `take(query, scored)` receives its
  // answer.
  template <class Start, class Take>
  void run(const Start& start, const Take& take) {
    candidates_.resize(static_cast<std::size_t>(query_.n_queries * n_parts_));
    for (std::int64_t q = 0; q < query_.n_queries; ++q) {
      const ValueScale scale = source_->value_scale(q);
      for (std::int64_t part = 0; part < n_parts_; ++part) start(at(part, q), q, scale);
    }
    sweep_rows();
    parallel_for((query_.n_queries + 15) / 16, query_.n_queries < 32 ? 1 : n_jobs_,
                 [&](std::int64_t task, int) {
                   const std::int64_t end = std::min(query_.n_queries, (task + 1) * 16);
                   for (std::int64_t q = task * 16; q < end; ++q) {
                     Candidates& first = at(0, q);
                     for (std::int64_t part = 1; part < n_parts_; ++part) first.absorb(at(part, q));
                     take(q, first.finish(scorers_[static_cast<std::size_t>(q)]));
                   }
                 });
  }

 private:
  Candidates& at(std::int64_t part, std::int64_t q) {
    return candidates_[static_cast<std::size_t>(part * query_.n_queries + q)];
  }

  bool score_directly() const {
    if (query_.metric == Metric::kHamming) return false;
    if (query_.rows.n <= 64) return true;
    double largest = query_.largest_norm;
    for (const Scorer& scorer : scorers_) largest = std::max(largest, scorer.query_norm());
    return !(largest < kFastNorm);
  }

  std::unique_ptr<Source> choose_source() const {
    if (score_directly()) return make_direct_source(query_);
    if (query_.metric != Metric::kHamming) {
      if (query_.screen != nullptr) return make_screen_source(query_);
      if (query_.n_queries >= kPanelQueries) return make_panel_source(query_, scorers_);
    }
    return make_scan_source(query_, scorers_);
  }

  // Splits queries into blocks and, when there are fewer blocks than threads, rows into parts.
  void plan() {
    const std::int64_t n_rows = query_.rows.n;
    const std::int64_t most = source_->queries_per_sweep();
    const std::int64_t needed = (query_.n_queries + most - 1) / most;
    // As many blocks for each thread, all of about the same size.
    const std::int64_t blocks =
        query_.n_queries < 2 * kQueryPad ? 1 : (needed + n_jobs_ - 1) / n_jobs_ * n_jobs_;
    const std::int64_t even = (query_.n_queries + blocks - 1) / blocks;
    block_ = std::min(most, (even + kQueryPad - 1) / kQueryPad * kQueryPad);
    n_blocks_ = (query_.n_queries + block_ - 1) / block_;
    n_parts_ = std::max<std::int64_t>(1, n_jobs_ / n_blocks_);
    n_parts_ = std::min(n_parts_, std::max<std::int64_t>(1, n_rows / (4 * kScreenBlock)));
    const double cost = source_->row_cost();
    const double work = cost * static_cast<double>(n_rows) * static_cast<double>(query_.n_queries);
    if (work < 1e5) n_parts_ = 1;  // waking a thread costs tens of microseconds
    const double per_row = cost * static_cast<double>(std::min(block_, query_.n_queries));
    const auto rows = static_cast<std::int64_t>(kTaskNanoseconds / per_row);
    chunk_ = std::max<std::int64_t>(rows / kScreenBlock, 8) * kScreenBlock;
    const std::int64_t part =
        ((n_rows + n_parts_ - 1) / n_parts_ + kScreenBlock - 1) / kScreenBlock;
    part_rows_ = part * kScreenBlock;
  }

  void sweep_rows() {
    for (std::int64_t offset = 0; offset < part_rows_; offset += chunk_) {
      parallel_for(n_blocks_ * n_parts_, n_jobs_, [&](std::int64_t task, int) {
        const std::int64_t first_query = task % n_blocks_ * block_;
        const std::int64_t part = task / n_blocks_;
        const std::int64_t part_end = std::min(query_.rows.n, (part + 1) * part_rows_);
        const std::int64_t first = part * part_rows_ + offset;
        const std::int64_t last = std::min(part_end, first + chunk_);
        if (first >= last) return;
        const auto n = static_cast<int>(std::min(block_, query_.n_queries - first_query));
        source_->sweep(first_query, n, first, last, &at(part, first_query),
                       scorers_.data() + first_query);
      });
    }
  }

  const ExactQuery& query_;
  int n_jobs_;
  std::vector<Scorer> scorers_;
  std::unique_ptr<Source> source_;
  std::vector<Candidates> candidates_;
  std::int64_t block_ = 0;
  std::int64_t n_blocks_ = 0;
  std::int64_t n_parts_ = 1;
  std::int64_t part_rows_ = 0;
  std::int64_t chunk_ = 0;
};

// Eight running maxima, which compilers keep in vector registers: std::max_element follows one, and
// took a tenth of a search of int8 rows.
double largest_of(const double* values, std::int64_t n) {
  constexpr int kWidth = 8;
  double most[kWidth] = {};
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    for (int j = 0; j < kWidth; ++j) most[j] = values[i + j] > most[j] ? values[i + j] : most[j];
  }
  for (; i < n; ++i) most[0] = std::max(most[0], values[i]);
  return *std::max_element(most, most + kWidth);
}

// Largest norm of the rows. A screen knows a bound of it; otherwise this reads 8 bytes a row.
double find_largest_norm(const ExactQuery& query) {
  if (query.largest_norm >= 0.0) return query.largest_norm;
  if (query.norms == nullptr || query.rows.n == 0) return 0.0;
  if (query.screen != nullptr) return query.screen->shape().largest_norm;
  return largest_of(query.norms, query.rows.n);
}

std::int64_t queries_per_batch(const ExactQuery& query) {
  return static_cast<std::int64_t>(resolve_jobs(query.n_jobs)) * 960;
}

}  // namespace

void exact_search(const ExactQuery& query, std::int64_t k, std::int64_t* positions, double* scores,
                  std::int64_t* counts) {
  std::fill_n(positions, query.n_queries * k, std::int64_t{-1});
  std::fill_n(scores, query.n_queries * k, -std::numeric_limits<double>::infinity());
  std::fill_n(counts, query.n_queries, std::int64_t{0});
  if (query.rows.n == 0 || k == 0) return;
  const std::int64_t kept = std::min(k, query.rows.n);
  const double largest = find_largest_norm(query);
  const std::int64_t step = queries_per_batch(query);
  for (std::int64_t first = 0; first < query.n_queries; first += step) {
    ExactQuery part = slice(query, first, std::min(step, query.n_queries - first));
    part.largest_norm = largest;
    Batch batch(part);
    batch.run([&](Candidates& c, std::int64_t,
                  const ValueScale& scale) { c.start_top(kept, part.ties, scale); },
              [&](std::int64_t q, const std::vector<Scored>& best) {
                const std::int64_t at = (first + q) * k;
                for (std::size_t i = 0; i < best.size(); ++i) {
                  positions[at + static_cast<std::int64_t>(i)] = best[i].row;
                  scores[at + static_cast<std::int64_t>(i)] = best[i].score;
                }
                counts[first + q] = static_cast<std::int64_t>(best.size());
              });
  }
}

RangeResult joined(const std::vector<std::vector<Scored>>& found) {
  RangeResult result;
  std::size_t n = 0;
  for (const std::vector<Scored>& one : found) n += one.size();
  result.limits.reserve(found.size() + 1);
  result.positions.reserve(n);
  result.scores.reserve(n);
  result.limits.push_back(0);
  for (const std::vector<Scored>& one : found) {
    for (const Scored& s : one) {
      result.positions.push_back(s.row);
      result.scores.push_back(s.score);
    }
    result.limits.push_back(static_cast<std::int64_t>(result.positions.size()));
  }
  return result;
}

RangeResult exact_range(const ExactQuery& query, const double* least) {
  std::vector<std::vector<Scored>> found(static_cast<std::size_t>(query.n_queries));
  if (query.rows.n == 0) return joined(found);
  const double largest = find_largest_norm(query);
  const std::int64_t step = queries_per_batch(query);
  for (std::int64_t first = 0; first < query.n_queries; first += step) {
    ExactQuery part = slice(query, first, std::min(step, query.n_queries - first));
    part.largest_norm = largest;
    Batch batch(part);
    batch.run([&](Candidates& c, std::int64_t q,
                  const ValueScale& scale) { c.start_range(least[first + q], part.ties, scale); },
              [&](std::int64_t q, std::vector<Scored>& best) {
                found[static_cast<std::size_t>(first + q)].swap(best);
              });
  }
  return joined(found);
}

}  // namespace vl
