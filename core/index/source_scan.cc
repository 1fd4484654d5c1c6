// SPDX-License-Identifier: Apache-2.0
// Candidates from the rows themselves, one query after the other through the pair kernels; memory-bound.
//
//   cosine: v = scale (q.x) / |x|, ip: v = scale (q.x):  |error| <= g |q| max(|x| or 1) + 2^-21 |v|
//   l2:     v = -|q - x|^2 directly:                     |error| <= 2 g |v|
//   l2 with a scale: v = 2 scale (q.x) - |x|^2:          |error| <= 2 g |q| max|x| + 2^-21 max|x|^2 + 2^-21 |v|
//   hamming: exact.                                      g = (dim + 8) 2^-24
#include <algorithm>
#include <cmath>

#include "index/source.h"
#include "simd/pair.h"

namespace vl {
namespace {

constexpr std::int64_t kStep = 512;  // rows scored before the threshold is looked at again
constexpr double kTiny = 1e-30;

class ScanSource final : public Source {
 public:
  ScanSource(const ExactQuery& query, const std::vector<Scorer>& scorers)
      : query_(query),
        scorers_(scorers),
        largest_(query.metric == Metric::kHamming ? 0.0 : largest_norm(query)) {}
  ValueScale value_scale(std::int64_t q) const override;
  void sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
             Candidates* candidates, const Scorer* scorers) const override;
  int queries_per_sweep() const override { return 96; }
  double row_cost() const override { return 0.05 * static_cast<double>(query_.rows.stride()); }

 private:
  void values(const Scorer& scorer, std::int64_t first_row, std::int64_t n, float* out) const;

  const ExactQuery& query_;
  const std::vector<Scorer>& scorers_;
  double largest_;
};

ValueScale ScanSource::value_scale(std::int64_t q) const {
  ValueScale scale;
  if (query_.metric == Metric::kHamming) return scale;
  const double norm = scorers_[static_cast<std::size_t>(q)].query_norm();
  const double g = (static_cast<double>(query_.rows.dim) + 8.0) * 0x1p-24;
  scale.relative = 0x1p-21;
  scale.absolute = kTiny;
  if (query_.metric == Metric::kCosine) {
    scale.multiply = norm;
    scale.absolute += g * norm * 1.001;
  } else if (query_.metric == Metric::kIp) {
    scale.absolute += g * norm * largest_ * 1.001;
  } else if (query_.rows.scale == nullptr) {
    scale.relative = 2.0 * g;
  } else {
    scale.add = norm * norm;
    scale.absolute += 2.0 * g * norm * largest_ * 1.001 + 0x1p-21 * largest_ * largest_;
  }
  return scale;
}

void ScanSource::values(const Scorer& scorer, std::int64_t first_row, std::int64_t n, float* out) const {
  const Rows& rows = query_.rows;
  const PairKernels& kernels = pair_kernels();
  const void* base = rows.row(first_row);
  if (rows.kind == Kind::kBits) {
    std::int32_t counts[kStep];
    kernels.hamming(static_cast<const std::uint8_t*>(scorer.query()), base, nullptr, n,
                    static_cast<std::int64_t>(rows.stride()), counts);
    for (std::int64_t i = 0; i < n; ++i) out[i] = -static_cast<float>(counts[i]);
    return;
  }
  const auto* query = static_cast<const float*>(scorer.query());
  const int kind = static_cast<int>(rows.kind);
  const bool l2 = query_.metric == Metric::kL2;
  if (l2 && rows.scale == nullptr) {
    kernels.l2[kind](query, base, nullptr, n, rows.dim, out);
    for (std::int64_t i = 0; i < n; ++i) out[i] = -out[i];
    return;
  }
  kernels.ip[kind](query, base, nullptr, n, rows.dim, out);
  if (rows.scale != nullptr) {
    for (std::int64_t i = 0; i < n; ++i) out[i] *= rows.scale[first_row + i];
  }
  const double* norms = query_.norms + first_row;
  if (query_.metric == Metric::kCosine) {
    for (std::int64_t i = 0; i < n; ++i) out[i] /= static_cast<float>(norms[i]);
  } else if (l2) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = 2.0F * out[i] - static_cast<float>(norms[i] * norms[i]);
  }
}

void ScanSource::sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
                       Candidates* candidates, const Scorer* scorers) const {
  float out[kStep];
  for (std::int64_t row = first_row; row < last_row; row += kStep) {
    const std::int64_t count = std::min(kStep, last_row - row);
    for (int i = 0; i < n; ++i) {
      values(scorers[i], row, count, out);
      Candidates& mine = candidates[i];
      for (std::int64_t j = 0; j < count; ++j) {
        const double v = out[j];
        if (mine.upper(v) < mine.threshold() || !admits(query_, first_query + i, row + j)) continue;
        if (mine.add(row + j, v)) mine.tighten(scorers[i]);
      }
    }
  }
}

}  // namespace

std::unique_ptr<Source> make_scan_source(const ExactQuery& query, const std::vector<Scorer>& scorers) {
  return std::make_unique<ScanSource>(query, scorers);
}

}  // namespace vl
