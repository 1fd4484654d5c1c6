// SPDX-License-Identifier: Apache-2.0
// Candidates from the rows themselves, one query after the other through the pair kernels;
// memory-bound.
//
//   cosine: v = scale (q.x) / |x|, ip: v = scale (q.x):  |error| <= g |q| max(|x| or 1) + 2^-21 |v|
//   l2:     v = -|q - x|^2 directly:                     |error| <= 2 g |v|
//   l2 with a scale: v = 2 scale (q.x) - |x|^2:          |error| <= 2 g |q| max|x| + 2^-21 max|x|^2
//   + 2^-21 |v| hamming: exact.                                      g = (dim + 8) 2^-24
// int8 rows meet the query as int8 codes, q ~ t code (four times the speed of widening to float32):
// the same with |q - t code| in place of g |q|, and l2 always as 2 (q.x) - |x|^2.
#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "index/query_code.h"
#include "index/source.h"
#include "simd/pair.h"

namespace vl {
namespace {

constexpr std::int64_t kStep = 512;   // rows scored before the threshold is looked at again
constexpr std::int64_t kGlance = 16;  // values looked over at once, nearly always for nothing
constexpr double kTiny = 1e-30;

bool all_below(const float* values, std::int64_t n, float cut) {
  int above = 0;
  for (std::int64_t i = 0; i < n; ++i) above |= values[i] >= cut ? 1 : 0;
  return above == 0;
}

constexpr std::int64_t kInt8Dims = 131071;  // sums of int8 products stay within int32

class ScanSource final : public Source {
 public:
  ScanSource(const ExactQuery& query, const std::vector<Scorer>& scorers);
  ValueScale value_scale(std::int64_t q) const override;
  void sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
             Candidates* candidates, const Scorer* scorers) const override;
  int queries_per_sweep() const override { return 96; }
  double row_cost() const override { return 0.05 * static_cast<double>(query_.rows.stride()); }

 private:
  void values(std::int64_t q, std::int64_t first_row, std::int64_t n, float* out) const;
  void products(std::int64_t q, std::int64_t first_row, std::int64_t n, float* out) const;

  const ExactQuery& query_;
  const std::vector<Scorer>& scorers_;
  double largest_;
  bool coded_;  // queries as int8
  std::vector<std::int8_t> codes_;
  std::vector<float> steps_;
  std::vector<double> residuals_;
};

ScanSource::ScanSource(const ExactQuery& query, const std::vector<Scorer>& scorers)
    : query_(query),
      scorers_(scorers),
      largest_(query.largest_norm),
      coded_(query.rows.kind == Kind::kInt8 && query.rows.dim <= kInt8Dims) {
  if (!coded_) return;
  codes_.resize(static_cast<std::size_t>(query.n_queries * query.rows.dim));
  steps_.resize(static_cast<std::size_t>(query.n_queries));
  residuals_.resize(static_cast<std::size_t>(query.n_queries));
  for (std::int64_t q = 0; q < query.n_queries; ++q) {
    const auto* values = static_cast<const float*>(query.queries) + q * query.rows.dim;
    const auto index = static_cast<std::size_t>(q);
    const QueryCode code =
        encode_query(values, query.rows.dim, 127, codes_.data() + q * query.rows.dim);
    steps_[index] = code.step;
    residuals_[index] = code.residual;
  }
}

ValueScale ScanSource::value_scale(std::int64_t q) const {
  ValueScale scale;
  if (query_.metric == Metric::kHamming) return scale;
  const double norm = scorers_[static_cast<std::size_t>(q)].query_norm();
  const double g = (static_cast<double>(query_.rows.dim) + 8.0) * 0x1p-24;
  const double wrong = (coded_ ? residuals_[static_cast<std::size_t>(q)] : g * norm) * 1.001;
  scale.relative = 0x1p-21;
  scale.absolute = kTiny;
  if (query_.metric == Metric::kCosine) {
    scale.multiply = norm;
    scale.absolute += wrong;
  } else if (query_.metric == Metric::kIp) {
    scale.absolute += wrong * largest_;
  } else if (query_.rows.scale == nullptr && !coded_) {
    scale.relative = 2.0 * g;
  } else {
    scale.add = norm * norm;
    scale.absolute += 2.0 * wrong * largest_ + 0x1p-21 * (largest_ + 2.0 * norm) * largest_;
  }
  return scale;
}

// out = q . x, with the scale of the row.
void ScanSource::products(std::int64_t q, std::int64_t first_row, std::int64_t n,
                          float* out) const {
  const Rows& rows = query_.rows;
  const PairKernels& kernels = pair_kernels();
  if (coded_) {
    std::int32_t sums[kStep];
    kernels.ip_i8(codes_.data() + q * rows.dim, rows.row(first_row), nullptr, n, rows.dim, sums);
    const float step = steps_[static_cast<std::size_t>(q)];
    if (rows.scale != nullptr) {
      const float* scale = rows.scale + first_row;
      for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(sums[i]) * (step * scale[i]);
      return;
    }
    for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(sums[i]) * step;
  } else {
    const auto* query = static_cast<const float*>(scorers_[static_cast<std::size_t>(q)].query());
    kernels.ip[static_cast<int>(rows.kind)](query, rows.row(first_row), nullptr, n, rows.dim, out);
  }
  if (rows.scale == nullptr) return;
  for (std::int64_t i = 0; i < n; ++i) out[i] *= rows.scale[first_row + i];
}

void ScanSource::values(std::int64_t q, std::int64_t first_row, std::int64_t n, float* out) const {
  const Rows& rows = query_.rows;
  const PairKernels& kernels = pair_kernels();
  const void* query = scorers_[static_cast<std::size_t>(q)].query();
  if (rows.kind == Kind::kBits) {
    std::int32_t counts[kStep];
    kernels.hamming(static_cast<const std::uint8_t*>(query), rows.row(first_row), nullptr, n,
                    static_cast<std::int64_t>(rows.stride()), counts);
    for (std::int64_t i = 0; i < n; ++i) out[i] = -static_cast<float>(counts[i]);
    return;
  }
  const bool l2 = query_.metric == Metric::kL2;
  if (l2 && rows.scale == nullptr && !coded_) {
    kernels.l2[static_cast<int>(rows.kind)](static_cast<const float*>(query), rows.row(first_row),
                                            nullptr, n, rows.dim, out);
    for (std::int64_t i = 0; i < n; ++i) out[i] = -out[i];
    return;
  }
  products(q, first_row, n, out);
  const double* norms = query_.norms + first_row;
  if (query_.metric == Metric::kCosine) {
    for (std::int64_t i = 0; i < n; ++i) out[i] /= static_cast<float>(norms[i]);
  } else if (l2) {
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = 2.0F * out[i] - static_cast<float>(norms[i] * norms[i]);
  }
}

void ScanSource::sweep(std::int64_t first_query, int n, std::int64_t first_row,
                       std::int64_t last_row, Candidates* candidates, const Scorer* scorers) const {
  float out[kStep];
  for (std::int64_t row = first_row; row < last_row; row += kStep) {
    const std::int64_t count = std::min(kStep, last_row - row);
    poll_interrupt();
    for (int i = 0; i < n; ++i) {
      values(first_query + i, row, count, out);
      Candidates& mine = candidates[i];
      float cut = mine.cut();
      for (std::int64_t j = 0; j < count; ++j) {
        if (j % kGlance == 0 && all_below(out + j, std::min(kGlance, count - j), cut)) {
          j += kGlance - 1;
          continue;
        }
        if (out[j] < cut || !admits(query_, first_query + i, row + j)) continue;
        if (!mine.add(row + j, out[j])) continue;
        if (mine.tighten()) mine.settle(scorers[i]);
        cut = mine.cut();
      }
    }
  }
}

}  // namespace

std::unique_ptr<Source> make_scan_source(const ExactQuery& query,
                                         const std::vector<Scorer>& scorers) {
  return std::make_unique<ScanSource>(query, scorers);
}

}  // namespace vl
