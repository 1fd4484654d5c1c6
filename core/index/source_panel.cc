// SPDX-License-Identifier: Apache-2.0
// Candidates from panels packed on the fly, 32 rows at a time, for batches of queries without a
// Screen: bfloat16 where the CPU multiplies it natively, else float32.
//
//   value = a (q . x) + b as in screen.h, without rotation.
//   |value - computed| <= a |q| |x| ((1 + e_q)(1 + e_x)(1 + g) - 1) + 2^-20 magnitudes,
//   e = 2^-8 where a side was rounded to bfloat16, else 0;  g = (dim + 8) 2^-23.
// Cost: packing reads every row once for each group of queries_per_sweep queries.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/float16.h"
#include "base/threads.h"
#include "index/query_code.h"
#include "index/source.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr int kPairRows = 2 * kPanelRows;
constexpr double kRounding = 0x1p-20;
constexpr double kTiny = 1e-30;
constexpr std::int64_t kInt8Dims = 65536;  // sums of int8 products stay within int32

class PanelSource final : public Source {
 public:
  PanelSource(const ExactQuery& query, const std::vector<Scorer>& scorers);
  ValueScale value_scale(std::int64_t q) const override;
  void sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
             Candidates* candidates, const Scorer* scorers) const override;
  int queries_per_sweep() const override;
  double row_cost() const override { return 0.02 * static_cast<double>(query_.rows.dim); }

 private:
  void encode(std::int64_t q);
  void pack_pair(std::int64_t first_row, std::int64_t last_row, unsigned char* panels, float* scale,
                 float* bias) const;
  void put(unsigned char* panel, int lane, std::int64_t r) const;

  const ExactQuery& query_;
  const std::vector<Scorer>& scorers_;
  const PanelKernels& kernels_;
  enum class Element { kFloat32, kBFloat16, kInt8 };
  Element element_;
  PanelFilter filter_;
  int groups_;
  double reach_;  // max a |x|
  double bias_;   // max |b|
  AlignedBuffer<unsigned char> codes_;
  std::vector<float> bias_weights_;     // 1 / t
  std::vector<std::int32_t> starts_;    // int8 only
  std::vector<QueryCode> query_codes_;  // t = 1 and no residual but for int8
};

PanelSource::PanelSource(const ExactQuery& query, const std::vector<Scorer>& scorers)
    : query_(query), scorers_(scorers), kernels_(panel_kernels()) {
  const std::int64_t dim = query.rows.dim;
  std::int64_t per_group = 1;
  element_ = Element::kFloat32;
  filter_ = kernels_.filter_f32;
  if (query.rows.kind == Kind::kInt8 && dim <= kInt8Dims) {
    element_ = Element::kInt8;
    filter_ = kernels_.filter_int8;
    per_group = 4;
  } else if (kernels_.level >= SimdLevel::kAvx512Bf16) {
    element_ = Element::kBFloat16;
    filter_ = kernels_.filter_bf16;
    per_group = 2;
  }
  const std::int64_t needed = (dim + per_group - 1) / per_group;
  groups_ = static_cast<int>((needed + kGroupStep - 1) / kGroupStep * kGroupStep);
  const double largest = query.largest_norm;
  reach_ =
      query.metric == Metric::kCosine ? 1.0 : (query.metric == Metric::kL2 ? 2.0 : 1.0) * largest;
  bias_ = query.metric == Metric::kL2 ? largest * largest : 0.0;
  const auto padded =
      static_cast<std::size_t>((query.n_queries + kQueryPad - 1) / kQueryPad * kQueryPad);
  codes_ = AlignedBuffer<unsigned char>(padded * static_cast<std::size_t>(groups_) * kGroupBytes);
  std::fill_n(codes_.data(), codes_.size(), static_cast<unsigned char>(0));
  bias_weights_.assign(padded, 1.0F);
  starts_.assign(padded, 0);
  query_codes_.resize(padded);
  for (std::int64_t q = 0; q < query.n_queries; ++q) encode(q);
}

void PanelSource::encode(std::int64_t q) {
  const std::int64_t dim = query_.rows.dim;
  const auto index = static_cast<std::size_t>(q);
  const float* values = static_cast<const float*>(query_.queries) + q * dim;
  unsigned char* row = codes_.data() + q * groups_ * kGroupBytes;
  switch (element_) {
    case Element::kFloat32: std::copy(values, values + dim, reinterpret_cast<float*>(row)); return;
    case Element::kBFloat16: {
      auto* out = reinterpret_cast<std::uint16_t*>(row);
      for (std::int64_t d = 0; d < dim; ++d) out[d] = float32_to_bfloat16(values[d]);
      return;
    }
    case Element::kInt8: {
      auto* out = reinterpret_cast<std::int8_t*>(row);
      query_codes_[index] = encode_query(values, dim, kernels_.int8_query_max, out);
      for (std::int64_t d = 0; d < dim; ++d) starts_[index] -= 128 * out[d];
      bias_weights_[index] = static_cast<float>(1.0 / query_codes_[index].step);
      return;
    }
  }
}

ValueScale PanelSource::value_scale(std::int64_t q) const {
  const double norm = scorers_[static_cast<std::size_t>(q)].query_norm();
  double wrong = query_codes_[static_cast<std::size_t>(q)].residual;
  if (element_ != Element::kInt8) {
    const bool rounded = query_.rows.kind == Kind::kFloat32 || query_.rows.kind == Kind::kFloat16;
    const double e_q = element_ == Element::kBFloat16 ? 0x1p-8 : 0.0;
    const double e_x = rounded ? e_q : 0.0;
    const double sums = (static_cast<double>(query_.rows.dim) + 8.0) * 0x1p-23;
    wrong = norm * ((1.0 + e_q) * (1.0 + e_x) * (1.0 + sums) - 1.0);
  }
  ValueScale scale;
  if (query_.metric == Metric::kCosine) scale.multiply = norm;
  if (query_.metric == Metric::kL2) scale.add = norm * norm;
  scale.absolute = wrong * reach_ * 1.001 + kRounding * (2.0 * norm * reach_ + bias_) + kTiny;
  return scale;
}

int PanelSource::queries_per_sweep() const {
  constexpr std::int64_t kCodeBytes = 640 * 1024;
  const std::int64_t fit = kCodeBytes / (groups_ * kGroupBytes) / 96 * 96;
  return static_cast<int>(std::clamp<std::int64_t>(fit, 96, 960));
}

// The row in `lane` of a panel: its values, or for int8 its codes.
void PanelSource::put(unsigned char* panel, int lane, std::int64_t r) const {
  const std::int64_t dim = query_.rows.dim;
  if (element_ == Element::kInt8) {
    const auto* codes = static_cast<const std::int8_t*>(query_.rows.row(r));
    for (std::int64_t d = 0; d < dim; ++d) {
      panel[(d / 4) * 64 + lane * 4 + d % 4] = static_cast<unsigned char>(codes[d] + 128);
    }
    return;
  }
  Rows raw = query_.rows;  // codes without their scale are exact in bfloat16; the scale joins `a`
  raw.scale = nullptr;
  thread_local std::vector<float> values;
  values.resize(static_cast<std::size_t>(dim));
  decode_row(raw, r, values.data());
  if (element_ == Element::kBFloat16) {
    auto* out = reinterpret_cast<std::uint16_t*>(panel) + 2 * lane;
    for (std::int64_t d = 0; d < dim; ++d)
      out[(d / 2) * 32 + d % 2] = float32_to_bfloat16(values[d]);
  } else {
    auto* out = reinterpret_cast<float*>(panel) + lane;
    for (std::int64_t d = 0; d < dim; ++d) out[d * kPanelRows] = values[d];
  }
}

void PanelSource::pack_pair(std::int64_t first_row, std::int64_t last_row, unsigned char* panels,
                            float* scale, float* bias) const {
  for (int i = 0; i < kPairRows; ++i) {
    const std::int64_t r = first_row + i;
    scale[i] = 0.0F;
    bias[i] = 0.0F;
    if (r >= last_row)
      continue;  // stale codes behind scale 0; the row number is refused by admits()
    put(panels + static_cast<std::int64_t>(i / kPanelRows) * groups_ * 64, i % kPanelRows, r);
    double factor = query_.rows.scale != nullptr ? query_.rows.scale[r] : 1.0;
    if (query_.metric == Metric::kCosine) factor /= query_.norms[r];
    if (query_.metric == Metric::kL2) {
      factor *= 2.0;
      bias[i] = static_cast<float>(-query_.norms[r] * query_.norms[r]);
    }
    scale[i] = static_cast<float>(factor);
  }
}

void PanelSource::sweep(std::int64_t first_query, int n, std::int64_t first_row,
                        std::int64_t last_row, Candidates* candidates,
                        const Scorer* scorers) const {
  const std::size_t padded = (static_cast<std::size_t>(n) + kQueryPad - 1) / kQueryPad * kQueryPad;
  AlignedBuffer<unsigned char> panels(static_cast<std::size_t>(groups_) * 128);
  std::fill_n(panels.data(), panels.size(), static_cast<unsigned char>(0));
  std::vector<PanelHit> hits(padded * kPairRows);
  std::vector<float> limits(padded, std::numeric_limits<float>::infinity());
  alignas(64) float scale[kPairRows];
  alignas(64) float bias[kPairRows];
  std::vector<double> slacks(static_cast<std::size_t>(n));
  const QueryCode* codes = query_codes_.data() + first_query;
  const auto limit = [&](int i) {
    return static_cast<float>((candidates[i].threshold() - slacks[i]) / codes[i].step);
  };
  for (int i = 0; i < n; ++i) {
    slacks[i] = value_scale(first_query + i).absolute;
    limits[i] = limit(i);
  }
  PanelQueries queries;
  queries.row_bytes = static_cast<std::int64_t>(groups_) * kGroupBytes;
  queries.codes = codes_.data() + first_query * queries.row_bytes;
  queries.n = n;
  queries.start = element_ == Element::kInt8 ? starts_.data() + first_query : nullptr;
  queries.bias = query_.metric == Metric::kL2 ? bias_weights_.data() + first_query : nullptr;
  queries.limit = limits.data();
  PanelPair pair;
  pair.data = panels.data();
  pair.scale = scale;
  pair.bias = bias;
  for (std::int64_t row = first_row; row < last_row; row += kPairRows) {
    poll_interrupt();
    pack_pair(row, last_row, panels.data(), scale, bias);
    const std::int64_t n_hits = filter_(queries, pair, groups_, 0, hits.data());
    for (std::int64_t h = 0; h < n_hits; ++h) {
      const PanelHit& hit = hits[static_cast<std::size_t>(h)];
      const auto i = static_cast<int>(hit.query);
      const std::int64_t r = row + hit.row;
      if (r >= last_row || !admits(query_, first_query + i, r)) continue;
      if (candidates[i].add(r, static_cast<double>(hit.value) * codes[i].step)) {
        if (candidates[i].tighten()) candidates[i].settle(scorers[i]);
        limits[hit.query] = limit(i);
      }
    }
  }
}

}  // namespace

std::unique_ptr<Source> make_panel_source(const ExactQuery& query,
                                          const std::vector<Scorer>& scorers) {
  return std::make_unique<PanelSource>(query, scorers);
}

}  // namespace vl
