// SPDX-License-Identifier: Apache-2.0
#include "index/screen_queries.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/threads.h"
#include "index/query_code.h"

namespace vl {
namespace {

constexpr double kRounding = 0x1p-20;  // float32 evaluation of a bound: a dozen roundings of 2^-24
constexpr double kTiny = 1e-30;        // products of subnormal size

std::size_t padded_count(std::int64_t n) {
  return static_cast<std::size_t>((n + kQueryPad - 1) / kQueryPad * kQueryPad);
}

}  // namespace

ScreenQueries::ScreenQueries(const Screen& screen, const float* values, std::int64_t n, int n_jobs)
    : screen_(screen) {
  for (std::int64_t b = 0; b < screen_.n_blocks(); ++b) {
    const BlockMaxima& block = screen_.blocks()[b];
    overall_.reach = std::max(overall_.reach, block.reach);
    overall_.error = std::max(overall_.error, block.error);
    overall_.bias = std::max(overall_.bias, block.bias);
  }
  const std::int64_t dim = screen_.rotated_dim();
  const std::size_t padded = padded_count(n);
  terms_.resize(padded);
  codes_ = AlignedBuffer<std::int8_t>(padded * static_cast<std::size_t>(dim));
  std::fill_n(codes_.data(), codes_.size(), std::int8_t{0});
  start_.assign(padded, 0);
  rest_start_.assign(padded, 0);
  rest_weight_.assign(padded, 0.0F);
  tail_.assign(padded, 0.0F);
  bias_.assign(padded, 1.0F);
  const int largest_code = panel_kernels().int8_query_max;
  constexpr std::int64_t kStep = 96;
  parallel_for((n + kStep - 1) / kStep, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    const std::int64_t first = task * kStep;
    const std::int64_t count = std::min(kStep, n - first);
    std::vector<float> rotated(static_cast<std::size_t>(count * dim));
    const float* mine = values + first * screen_.shape().dim;
    screen_.rotate(mine, count, rotated.data());
    for (std::int64_t i = 0; i < count; ++i) {
      prepare(first + i, mine + i * screen_.shape().dim, rotated.data() + i * dim, largest_code);
    }
  });
}

void ScreenQueries::prepare(std::int64_t q, const float* values, const float* rotated,
                            int largest_code) {
  const std::int64_t dim = screen_.rotated_dim();
  const std::int64_t head = screen_.head_dim();
  const auto index = static_cast<std::size_t>(q);
  QueryTerms& terms = terms_[index];
  for (std::int64_t d = 0; d < screen_.shape().dim; ++d) {
    const double c = screen_.center() != nullptr ? screen_.center()[d] : 0.0;
    const double difference = static_cast<double>(values[d]) - c;
    terms.square += difference * difference;
  }
  std::int8_t* codes = codes_.data() + q * dim;
  const QueryCode in_head = encode_query(rotated, head, largest_code, codes);
  const QueryCode in_rest = encode_query(rotated + head, dim - head, largest_code, codes + head);
  double tail = 0.0;
  std::int32_t sums[2] = {0, 0};
  for (std::int64_t j = 0; j < dim; ++j) {
    sums[j < head ? 0 : 1] += codes[j];
    if (j >= head) tail += static_cast<double>(rotated[j]) * rotated[j];
  }
  const double rounding = screen_.shape().kappa * std::sqrt(terms.square);
  terms.step = in_head.step;
  terms.residual = std::hypot(in_head.residual, in_rest.residual) + rounding;
  terms.length = std::hypot(in_head.length, in_rest.length);
  terms.tail = std::sqrt(tail) + rounding;
  start_[index] = -128 * sums[0];
  rest_start_[index] = -128 * sums[1];
  rest_weight_[index] = in_rest.step / in_head.step;
  tail_[index] = static_cast<float>(terms.tail / terms.step * (1.0 + 0x1p-22));
  bias_[index] = static_cast<float>(1.0 / terms.step);
}

double ScreenQueries::slack(std::int64_t q, const BlockMaxima& block) const {
  const QueryTerms& t = terms(q);
  const double reach = block.reach;
  const double error = block.error;
  const double magnitude = (t.length + t.tail) * (reach + error) + block.bias + t.square;
  const double codes = t.residual * reach + t.length * error;
  return codes * (1.0 + 1e-6) + kRounding * magnitude + kTiny;
}

PanelQueries ScreenQueries::panel_queries(std::int64_t first, int n) const {
  const auto at = static_cast<std::size_t>(first);
  PanelQueries queries;
  queries.row_bytes = screen_.rotated_dim();
  queries.codes = codes_.data() + first * queries.row_bytes;
  queries.n = n;
  queries.start = start_.data() + at;
  queries.rest_start = rest_start_.data() + at;
  queries.rest_weight = rest_weight_.data() + at;
  queries.tail = tail_.data() + at;
  queries.bias = screen_.bias() != nullptr ? bias_.data() + at : nullptr;
  return queries;
}

PanelPair ScreenQueries::panel_pair(std::int64_t row) const {
  PanelPair pair;
  pair.data = screen_.head() + row * screen_.head_dim();
  pair.rest = screen_.rest() + row * screen_.rest_dim();
  pair.scale = screen_.scale() + row;
  pair.tail = screen_.tail() + row;
  pair.rest_scale = screen_.rest_scale() + row;
  pair.bias = screen_.bias() != nullptr ? screen_.bias() + row : nullptr;
  return pair;
}

int ScreenQueries::per_sweep(const Screen& screen) {
  constexpr std::int64_t kCodeBytes = 448 * 1024;
  constexpr std::int64_t kStep = 96;  // whole blocks of 12 and whole tiles of 32
  const std::int64_t fit = kCodeBytes / screen.rotated_dim() / kStep * kStep;
  return static_cast<int>(std::clamp<std::int64_t>(fit, kStep, 10 * kStep));
}

ScreenScratch::ScreenScratch(int n)
    : hits(padded_count(n) * 2 * kPanelRows),
      limits(padded_count(n), std::numeric_limits<float>::infinity()),
      survivor_values(2 * (padded_count(n) + 1) * kPanelRows),
      survivors(2 * (padded_count(n) + 1)) {}

}  // namespace vl
