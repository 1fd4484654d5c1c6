// SPDX-License-Identifier: Apache-2.0
// Candidates from a Screen: int8 block products under the bound derived in screen.h.
// Cost: n * groups * 4 bytes read once per sweep, n * queries * 4 * groups multiply-adds of bytes; when
// the head decides most rows, only head_groups of them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/threads.h"
#include "index/source.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr double kRounding = 0x1p-20;  // float32 evaluation of a bound: a dozen roundings of 2^-24
constexpr double kTiny = 1e-30;        // products of subnormal size

struct QueryTerms {
  double step = 1.0;      // t
  double residual = 0.0;  // |u - t code_q|
  double length = 0.0;    // |t code_q|
  double tail = 0.0;      // |u_tail|
  double square = 0.0;    // |q'|^2
};

enum Mode : int { kUndecided = 0, kHead = 1, kAll = 2 };

class ScreenSource final : public Source {
 public:
  ScreenSource(const ExactQuery& query, const std::vector<Scorer>& scorers);
  ValueScale value_scale(std::int64_t q) const override;
  void sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
             Candidates* candidates, const Scorer* scorers) const override;
  int queries_per_sweep() const override;
  double row_cost() const override { return 0.004 * static_cast<double>(screen_.rotated_dim()); }

 private:
  struct Sweep {
    std::int64_t first_query;
    int n;
    Candidates* candidates;
    const Scorer* scorers;
    float* limits;
    double* slacks;
    PanelHit* hits;
  };

  void prepare(std::int64_t q, const float* values, const float* rotated);
  double slack(const QueryTerms& terms, const BlockMaxima& block) const;
  float limit(const QueryTerms& terms, double threshold, double slack) const;
  void sweep_block(const Sweep& sweep, std::int64_t block, std::int64_t last_row, int head) const;
  void drain(const Sweep& sweep, std::int64_t first_row, std::int64_t n_hits) const;

  const ExactQuery& query_;
  const Screen& screen_;
  const PanelKernels& kernels_;
  BlockMaxima overall_{0, 0, 0, 0};
  std::vector<QueryTerms> terms_;
  AlignedBuffer<std::int8_t> codes_;
  std::vector<std::int32_t> head_start_;
  std::vector<std::int32_t> tail_start_;
  std::vector<float> tail_;
  std::vector<float> bias_;
  mutable std::vector<std::atomic<int>> modes_;  // one for each block of kQueryPad queries
};

ScreenSource::ScreenSource(const ExactQuery& query, const std::vector<Scorer>& scorers)
    : query_(query),
      screen_(*query.screen),
      kernels_(panel_kernels()),
      modes_(static_cast<std::size_t>(query.n_queries / kQueryPad + 1)) {
  for (std::int64_t b = 0; b < screen_.n_blocks(); ++b) {
    const BlockMaxima& block = screen_.blocks()[b];
    overall_.reach = std::max(overall_.reach, block.reach);
    overall_.error = std::max(overall_.error, block.error);
    overall_.bias = std::max(overall_.bias, block.bias);
  }
  const std::int64_t dim = screen_.rotated_dim();
  const auto padded = static_cast<std::size_t>((query.n_queries + kQueryPad - 1) / kQueryPad * kQueryPad);
  terms_.resize(padded);
  codes_ = AlignedBuffer<std::int8_t>(padded * static_cast<std::size_t>(dim));
  std::fill_n(codes_.data(), codes_.size(), std::int8_t{0});
  head_start_.assign(padded, 0);
  tail_start_.assign(padded, 0);
  tail_.assign(padded, 0.0F);
  bias_.assign(padded, 1.0F);
  constexpr std::int64_t kStep = 96;
  parallel_for((query.n_queries + kStep - 1) / kStep, resolve_jobs(query.n_jobs),
               [&](std::int64_t task, int) {
                 const std::int64_t first = task * kStep;
                 const std::int64_t count = std::min(kStep, query.n_queries - first);
                 std::vector<float> rotated(static_cast<std::size_t>(count * dim));
                 const float* values = static_cast<const float*>(query.queries) + first * query.rows.dim;
                 screen_.rotate(values, count, rotated.data());
                 for (std::int64_t i = 0; i < count; ++i) {
                   prepare(first + i, values + i * query.rows.dim, rotated.data() + i * dim);
                 }
               });
  static_cast<void>(scorers);
}

void ScreenSource::prepare(std::int64_t q, const float* values, const float* rotated) {
  const std::int64_t dim = screen_.rotated_dim();
  const std::int64_t head = static_cast<std::int64_t>(screen_.shape().head_groups) * 4;
  const auto index = static_cast<std::size_t>(q);
  QueryTerms& terms = terms_[index];
  for (std::int64_t d = 0; d < query_.rows.dim; ++d) {
    const double c = screen_.center() != nullptr ? screen_.center()[d] : 0.0;
    const double difference = static_cast<double>(values[d]) - c;
    terms.square += difference * difference;
  }
  float largest = 0.0F;
  for (std::int64_t j = 0; j < dim; ++j) largest = std::max(largest, std::abs(rotated[j]));
  const float top = static_cast<float>(kernels_.int8_query_max);
  const float step = largest > 0.0F ? largest / top : 1.0F;
  const float inverse = 1.0F / step;
  std::int8_t* codes = codes_.data() + q * dim;
  double residual = 0.0;
  double length = 0.0;
  double tail = 0.0;
  std::int32_t sums[2] = {0, 0};
  for (std::int64_t j = 0; j < dim; ++j) {
    const float scaled = std::min(top, std::max(-top, rotated[j] * inverse));
    const int code = static_cast<int>(std::lrintf(scaled));
    codes[j] = static_cast<std::int8_t>(code);
    const double decoded = static_cast<double>(step) * code;
    const double rest = static_cast<double>(rotated[j]) - decoded;
    residual += rest * rest;
    length += decoded * decoded;
    sums[j < head ? 0 : 1] += code;
    if (j >= head) tail += static_cast<double>(rotated[j]) * rotated[j];
  }
  const double rounding = screen_.shape().kappa * std::sqrt(terms.square);
  terms.step = step;
  terms.residual = std::sqrt(residual) + rounding;
  terms.length = std::sqrt(length);
  terms.tail = std::sqrt(tail) + rounding;
  head_start_[index] = -128 * sums[0];
  tail_start_[index] = -128 * sums[1];
  tail_[index] = static_cast<float>(terms.tail / terms.step * (1.0 + 0x1p-22));
  bias_[index] = static_cast<float>(1.0 / terms.step);
}

double ScreenSource::slack(const QueryTerms& terms, const BlockMaxima& block) const {
  const double reach = block.reach;
  const double error = block.error;
  const double magnitude = (terms.length + terms.tail) * (reach + error) + block.bias;
  return (terms.residual * reach + terms.length * error) * (1.0 + 1e-6) + kRounding * magnitude + kTiny;
}

float ScreenSource::limit(const QueryTerms& terms, double threshold, double slack) const {
  return static_cast<float>((threshold - slack) / terms.step);
}

ValueScale ScreenSource::value_scale(std::int64_t q) const {
  const QueryTerms& terms = terms_[static_cast<std::size_t>(q)];
  ValueScale scale;
  if (query_.metric == Metric::kCosine) scale.multiply = std::sqrt(terms.square);
  if (query_.metric == Metric::kL2) scale.add = terms.square;
  scale.absolute = slack(terms, overall_);
  return scale;
}

int ScreenSource::queries_per_sweep() const {
  constexpr std::int64_t kCodeBytes = 448 * 1024;  // leaves room in a 1 MiB L2 for panels and hits
  const std::int64_t fit = kCodeBytes / screen_.rotated_dim() / 96 * 96;  // 96: blocks of 12 and tiles of 32
  return static_cast<int>(std::clamp<std::int64_t>(fit, 96, 960));
}

void ScreenSource::drain(const Sweep& sweep, std::int64_t first_row, std::int64_t n_hits) const {
  for (std::int64_t h = 0; h < n_hits; ++h) {
    const PanelHit& hit = sweep.hits[h];
    const std::int64_t row = first_row + hit.row;
    const std::int64_t q = sweep.first_query + hit.query;
    if (!admits(query_, q, row)) continue;
    const QueryTerms& terms = terms_[static_cast<std::size_t>(q)];
    Candidates& candidates = sweep.candidates[hit.query];
    if (candidates.add(row, static_cast<double>(hit.value) * terms.step)) {
      candidates.tighten(sweep.scorers[hit.query]);
      sweep.limits[hit.query] = limit(terms, candidates.threshold(), sweep.slacks[hit.query]);
    }
  }
}

void ScreenSource::sweep_block(const Sweep& sweep, std::int64_t block, std::int64_t last_row,
                               int head) const {
  const ScreenShape& shape = screen_.shape();
  const auto first = static_cast<std::size_t>(sweep.first_query);
  for (int i = 0; i < sweep.n; ++i) {
    const QueryTerms& terms = terms_[first + static_cast<std::size_t>(i)];
    sweep.slacks[i] = slack(terms, screen_.blocks()[block]);
    sweep.limits[i] = limit(terms, sweep.candidates[i].threshold(), sweep.slacks[i]);
  }
  const bool whole = head == shape.groups;
  PanelQueries queries;
  queries.row_bytes = screen_.rotated_dim();
  queries.codes = codes_.data() + sweep.first_query * queries.row_bytes;
  queries.n = sweep.n;
  queries.tail = tail_.data() + first;
  queries.bias = screen_.bias() != nullptr ? bias_.data() + first : nullptr;
  queries.limit = sweep.limits;
  std::vector<std::int32_t> sums;
  queries.head_start = head_start_.data() + first;
  queries.tail_start = tail_start_.data() + first;
  if (whole && shape.head_groups != shape.groups) {
    thread_local std::vector<std::int32_t> total;
    total.resize(static_cast<std::size_t>(sweep.n));
    for (int i = 0; i < sweep.n; ++i) total[i] = queries.head_start[i] + queries.tail_start[i];
    queries.head_start = total.data();
  }
  const std::int64_t begin = block * kScreenBlock;
  const std::int64_t end = std::min(last_row, begin + kScreenBlock);
  for (std::int64_t row = begin; row < end; row += 2 * kPanelRows) {
    PanelPair pair;
    pair.panel_bytes = screen_.panel_bytes();
    pair.data = screen_.panels() + row * screen_.rotated_dim();
    pair.scale = screen_.scale() + row;
    pair.tail = screen_.tail() + row;
    pair.bias = screen_.bias() != nullptr ? screen_.bias() + row : nullptr;
    const std::int64_t n_hits = kernels_.filter_int8(queries, pair, head, shape.groups, sweep.hits);
    if (n_hits != 0) drain(sweep, row, n_hits);
  }
}

void ScreenSource::sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
                         Candidates* candidates, const Scorer* scorers) const {
  thread_local std::vector<PanelHit> hits;
  thread_local std::vector<float> limits;
  thread_local std::vector<double> slacks;
  const auto padded = static_cast<std::size_t>((n + kQueryPad - 1) / kQueryPad * kQueryPad);
  hits.resize(std::max(hits.size(), padded * 2 * kPanelRows));
  limits.assign(padded, std::numeric_limits<float>::infinity());
  slacks.assign(padded, 0.0);
  const Sweep state{first_query, n, candidates, scorers, limits.data(), slacks.data(), hits.data()};
  const ScreenShape& shape = screen_.shape();
  std::atomic<int>& mode = modes_[static_cast<std::size_t>(first_query / kQueryPad)];
  // Whether testing the head first pays depends on the data, the queries and the CPU: time both ways on
  // a few blocks, once thresholds have settled. The answer is the same either way.
  constexpr std::int64_t kWarm = 8;
  constexpr std::int64_t kTrial = 6;
  using Clock = std::chrono::steady_clock;
  Clock::duration spent[2] = {};
  const std::int64_t first_block = first_row / kScreenBlock;
  for (std::int64_t block = first_block; block * kScreenBlock < last_row; ++block) {
    const std::int64_t done = block - first_block;
    int decided = mode.load(std::memory_order_relaxed);
    if (shape.head_groups == shape.groups) decided = kAll;
    const bool trial = decided == kUndecided && done >= kWarm;
    bool use_head = decided != kAll;
    if (trial) use_head = (done - kWarm) % 2 == 0;
    const auto start = Clock::now();
    sweep_block(state, block, last_row, use_head ? shape.head_groups : shape.groups);
    if (!trial) continue;
    spent[use_head ? 0 : 1] += Clock::now() - start;
    if (done + 1 == kWarm + 2 * kTrial) mode.store(spent[0] < spent[1] ? kHead : kAll);
  }
}

}  // namespace

std::unique_ptr<Source> make_screen_source(const ExactQuery& query, const std::vector<Scorer>& scorers) {
  return std::make_unique<ScreenSource>(query, scorers);
}

}  // namespace vl
