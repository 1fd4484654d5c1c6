// SPDX-License-Identifier: Apache-2.0
// Candidates from a Screen: int8 block products under the bound derived in screen.h.
// Cost: n * groups * 4 bytes read once per sweep, n * queries * 4 * groups multiply-adds of bytes;
// when the head decides most rows, only head_groups of them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/threads.h"
#include "index/query_code.h"
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
    float* survivor_values;
    std::int32_t* survivors;
  };

  void prepare(std::int64_t q, const float* values, const float* rotated);
  double slack(const QueryTerms& terms, const BlockMaxima& block) const;
  float limit(const QueryTerms& terms, double threshold, double slack) const;
  void sweep_block(const Sweep& sweep, std::int64_t block, std::int64_t last_row) const;
  void drain(const Sweep& sweep, std::int64_t first_row, std::int64_t n_hits) const;

  const ExactQuery& query_;
  const Screen& screen_;
  const PanelKernels& kernels_;
  BlockMaxima overall_{0, 0, 0, 0};
  std::vector<QueryTerms> terms_;
  AlignedBuffer<std::int8_t> codes_;
  std::vector<std::int32_t> start_;
  std::vector<std::int32_t> rest_start_;
  std::vector<float> tail_;
  std::vector<float> bias_;
};

ScreenSource::ScreenSource(const ExactQuery& query, const std::vector<Scorer>& scorers)
    : query_(query), screen_(*query.screen), kernels_(panel_kernels()) {
  for (std::int64_t b = 0; b < screen_.n_blocks(); ++b) {
    const BlockMaxima& block = screen_.blocks()[b];
    overall_.reach = std::max(overall_.reach, block.reach);
    overall_.error = std::max(overall_.error, block.error);
    overall_.bias = std::max(overall_.bias, block.bias);
  }
  const std::int64_t dim = screen_.rotated_dim();
  const auto padded =
      static_cast<std::size_t>((query.n_queries + kQueryPad - 1) / kQueryPad * kQueryPad);
  terms_.resize(padded);
  codes_ = AlignedBuffer<std::int8_t>(padded * static_cast<std::size_t>(dim));
  std::fill_n(codes_.data(), codes_.size(), std::int8_t{0});
  start_.assign(padded, 0);
  rest_start_.assign(padded, 0);
  tail_.assign(padded, 0.0F);
  bias_.assign(padded, 1.0F);
  constexpr std::int64_t kStep = 96;
  parallel_for((query.n_queries + kStep - 1) / kStep, resolve_jobs(query.n_jobs),
               [&](std::int64_t task, int) {
                 const std::int64_t first = task * kStep;
                 const std::int64_t count = std::min(kStep, query.n_queries - first);
                 std::vector<float> rotated(static_cast<std::size_t>(count * dim));
                 const float* values =
                     static_cast<const float*>(query.queries) + first * query.rows.dim;
                 screen_.rotate(values, count, rotated.data());
                 for (std::int64_t i = 0; i < count; ++i) {
                   prepare(first + i, values + i * query.rows.dim, rotated.data() + i * dim);
                 }
               });
  static_cast<void>(scorers);
}

void ScreenSource::prepare(std::int64_t q, const float* values, const float* rotated) {
  const std::int64_t dim = screen_.rotated_dim();
  const std::int64_t head = screen_.head_dim();
  const auto index = static_cast<std::size_t>(q);
  QueryTerms& terms = terms_[index];
  for (std::int64_t d = 0; d < query_.rows.dim; ++d) {
    const double c = screen_.center() != nullptr ? screen_.center()[d] : 0.0;
    const double difference = static_cast<double>(values[d]) - c;
    terms.square += difference * difference;
  }
  std::int8_t* codes = codes_.data() + q * dim;
  const QueryCode code = encode_query(rotated, dim, kernels_.int8_query_max, codes);
  double tail = 0.0;
  std::int32_t sums[2] = {0, 0};
  for (std::int64_t j = 0; j < dim; ++j) {
    sums[j < head ? 0 : 1] += codes[j];
    if (j >= head) tail += static_cast<double>(rotated[j]) * rotated[j];
  }
  const double rounding = screen_.shape().kappa * std::sqrt(terms.square);
  terms.step = code.step;
  terms.residual = code.residual + rounding;
  terms.length = code.length;
  terms.tail = std::sqrt(tail) + rounding;
  start_[index] = -128 * sums[0];
  rest_start_[index] = -128 * sums[1];
  tail_[index] = static_cast<float>(terms.tail / terms.step * (1.0 + 0x1p-22));
  bias_[index] = static_cast<float>(1.0 / terms.step);
}

double ScreenSource::slack(const QueryTerms& terms, const BlockMaxima& block) const {
  const double reach = block.reach;
  const double error = block.error;
  const double magnitude = (terms.length + terms.tail) * (reach + error) + block.bias;
  return (terms.residual * reach + terms.length * error) * (1.0 + 1e-6) + kRounding * magnitude +
         kTiny;
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
  const std::int64_t fit =
      kCodeBytes / screen_.rotated_dim() / 96 * 96;  // 96: blocks of 12 and tiles of 32
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

void ScreenSource::sweep_block(const Sweep& sweep, std::int64_t block,
                               std::int64_t last_row) const {
  const ScreenShape& shape = screen_.shape();
  const auto first = static_cast<std::size_t>(sweep.first_query);
  for (int i = 0; i < sweep.n; ++i) {
    const QueryTerms& terms = terms_[first + static_cast<std::size_t>(i)];
    sweep.slacks[i] = slack(terms, screen_.blocks()[block]);
    sweep.limits[i] = limit(terms, sweep.candidates[i].threshold(), sweep.slacks[i]);
  }
  PanelQueries queries;
  queries.row_bytes = screen_.rotated_dim();
  queries.codes = codes_.data() + sweep.first_query * queries.row_bytes;
  queries.n = sweep.n;
  queries.start = start_.data() + first;
  queries.rest_start = rest_start_.data() + first;
  queries.tail = tail_.data() + first;
  queries.bias = screen_.bias() != nullptr ? bias_.data() + first : nullptr;
  queries.limit = sweep.limits;
  queries.survivor_values = sweep.survivor_values;
  queries.survivors = sweep.survivors;
  const std::int64_t begin = block * kScreenBlock;
  const std::int64_t end = std::min(last_row, begin + kScreenBlock);
  for (std::int64_t row = begin; row < end; row += 2 * kPanelRows) {
    PanelPair pair;
    pair.data = screen_.head() + row * screen_.head_dim();
    pair.rest = screen_.rest() + row * screen_.rest_dim();
    pair.scale = screen_.scale() + row;
    pair.tail = screen_.tail() + row;
    pair.bias = screen_.bias() != nullptr ? screen_.bias() + row : nullptr;
    const std::int64_t n_hits = kernels_.filter_int8(queries, pair, shape.head_groups,
                                                     shape.groups - shape.head_groups, sweep.hits);
    if (n_hits != 0) drain(sweep, row, n_hits);
  }
}

void ScreenSource::sweep(std::int64_t first_query, int n, std::int64_t first_row,
                         std::int64_t last_row, Candidates* candidates,
                         const Scorer* scorers) const {
  thread_local std::vector<PanelHit> hits;
  thread_local AlignedBuffer<float> survivor_values;
  thread_local std::vector<std::int32_t> survivors;
  thread_local std::vector<float> limits;
  thread_local std::vector<double> slacks;
  const std::size_t padded = (static_cast<std::size_t>(n) + kQueryPad - 1) / kQueryPad * kQueryPad;
  hits.resize(std::max(hits.size(), padded * 2 * kPanelRows));
  const std::size_t waiting = 2 * (padded + 1);
  if (survivors.size() < waiting) {
    survivors.resize(waiting);
    survivor_values = AlignedBuffer<float>(waiting * kPanelRows);
  }
  limits.assign(padded, std::numeric_limits<float>::infinity());
  slacks.assign(padded, 0.0);
  const Sweep state{first_query,     n,
                    candidates,      scorers,
                    limits.data(),   slacks.data(),
                    hits.data(),     survivor_values.data(),
                    survivors.data()};
  for (std::int64_t row = first_row; row < last_row; row += kScreenBlock) {
    sweep_block(state, row / kScreenBlock, last_row);
  }
}

}  // namespace

std::unique_ptr<Source> make_screen_source(const ExactQuery& query,
                                           const std::vector<Scorer>& scorers) {
  return std::make_unique<ScreenSource>(query, scorers);
}

}  // namespace vl
