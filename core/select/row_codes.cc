// SPDX-License-Identifier: Apache-2.0
#include "select/row_codes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/threads.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr int kLanes = 16;               // partial sums, so that compilers use vectors
constexpr float kToWhole = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
constexpr int kPair = kPanelsPerCall * kPanelRows;

struct Measured {
  float largest;  // |value|
  float norm;
};

// out = unit (row - center).
Measured shift(const float* row, const CodeSpace& space, std::int64_t dim, float* out) {
  float largest[kLanes] = {};
  float squares[kLanes] = {};
  const float* center = space.center.data();
  const float unit = space.unit;
  std::int64_t d = 0;
  const auto one = [&](std::int64_t at, int lane) {
    const float value = unit * (row[at] - center[at]);
    const float size = std::fabs(value);
    out[at] = value;
    largest[lane] = largest[lane] > size ? largest[lane] : size;
    squares[lane] += value * value;
  };
  for (; d + kLanes <= dim; d += kLanes) {
    for (int i = 0; i < kLanes; ++i) one(d + i, i);
  }
  for (; d < dim; ++d) one(d, 0);
  Measured measured{0.0F, 0.0F};
  double square = 0.0;
  for (int i = 0; i < kLanes; ++i) {
    measured.largest = std::max(measured.largest, largest[i]);
    square += static_cast<double>(squares[i]);
  }
  measured.norm = static_cast<float>(std::sqrt(square));
  return measured;
}

struct Coded {
  float residual;
  std::int32_t sum;
};

// Codes of values with |value| <= top * step.
Coded to_codes(const float* values, std::int64_t dim, float step, double rounding,
               std::int8_t* codes) {
  const float inverse = 1.0F / step;
  float squares[kLanes] = {};
  std::int32_t sums[kLanes] = {};
  const auto one = [&](std::int64_t at, int lane) {
    const float whole = (values[at] * inverse + kToWhole) - kToWhole;
    const float lost = values[at] - step * whole;
    const auto code = static_cast<std::int32_t>(whole);
    codes[at] = static_cast<std::int8_t>(code);
    sums[lane] += code;
    squares[lane] += lost * lost;
  };
  std::int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (int i = 0; i < kLanes; ++i) one(d + i, i);
  }
  for (; d < dim; ++d) one(d, 0);
  Coded coded{0.0F, 0};
  double square = 0.0;
  for (int i = 0; i < kLanes; ++i) {
    square += static_cast<double>(squares[i]);
    coded.sum += sums[i];
  }
  coded.residual = static_cast<float>(std::sqrt(square) * (1.0 + rounding));
  return coded;
}

// The step for values up to `largest`; never so small that terms over it leave float32.
float step_of(float largest, int top) {
  constexpr float kLeast = 1e-8F;
  return std::max(largest * 1.000001F / static_cast<float>(top), kLeast);
}

}  // namespace

CodeSpace code_space(const FloatRows& rows) {
  constexpr std::int64_t kSample = 4096;
  CodeSpace space;
  const std::int64_t dim = rows.dim;
  space.groups = static_cast<int>((dim + 3) / 4);
  space.rounding = 0x1p-20 + (static_cast<double>(dim) / kLanes + 8.0) * 0x1p-23;
  const std::int64_t every = std::max<std::int64_t>(1, rows.n / kSample);
  std::vector<double> sum(static_cast<std::size_t>(dim), 0.0);
  double count = 0.0;
  for (std::int64_t r = 0; r < rows.n; r += every, count += 1.0) {
    for (std::int64_t d = 0; d < dim; ++d) sum[d] += static_cast<double>(rows.row(r)[d]);
  }
  for (const double value : sum) space.center.push_back(static_cast<float>(value / count));
  double spread = 0.0;
  for (std::int64_t r = 0; r < rows.n; r += every) {
    for (std::int64_t d = 0; d < dim; ++d) {
      const double x = static_cast<double>(rows.row(r)[d]) - static_cast<double>(space.center[d]);
      spread += x * x;
    }
  }
  spread = std::sqrt(spread / count);
  if (spread > 1e-37 && spread < 1e37) {
    space.unit = static_cast<float>(std::exp2(-std::ceil(std::log2(spread))));
  }
  return space;
}

RowCodes::RowCodes(const FloatRows& rows, const CodeSpace& space, int top, int n_threads)
    : row_bytes_(4 * static_cast<std::int64_t>(space.groups)) {
  constexpr std::int64_t kBlock = 1024;
  const auto n = static_cast<std::size_t>(rows.n);
  codes_ = AlignedBuffer<std::int8_t>(n * static_cast<std::size_t>(row_bytes_));
  start.resize(n);
  step.resize(n);
  weight.resize(n);
  residual.resize(n);
  norm.resize(n);
  parallel_for((rows.n + kBlock - 1) / kBlock, n_threads, [&](std::int64_t task, int) {
    std::vector<float> values(static_cast<std::size_t>(rows.dim));
    for (std::int64_t r = task * kBlock; r < std::min(rows.n, (task + 1) * kBlock); ++r) {
      encode(rows, space, top, r, values.data());
    }
  });
}

void RowCodes::encode(const FloatRows& rows, const CodeSpace& space, int top, std::int64_t r,
                      float* values) {
  const Measured measured = shift(rows.row(r), space, rows.dim, values);
  const bool wild = !(measured.norm < kWildNorm);
  if (wild) std::fill_n(values, rows.dim, 0.0F);
  std::int8_t* out = codes_.data() + r * row_bytes_;
  std::fill_n(out + rows.dim, row_bytes_ - rows.dim, static_cast<std::int8_t>(0));
  step[r] = step_of(wild ? 0.0F : measured.largest, top);
  const Coded coded = to_codes(values, rows.dim, step[r], space.rounding, out);
  weight[r] = 1.0F / step[r];
  start[r] = -128 * coded.sum;
  residual[r] = coded.residual;
  norm[r] = wild ? std::numeric_limits<float>::infinity() : measured.norm;
}

CentroidPanels::CentroidPanels(const float* centroids, std::int64_t dim, const CodeSpace& space,
                               const std::vector<std::int32_t>& order, int n_threads)
    : n_pairs((std::ssize(order) + kPair - 1) / kPair) {
  const auto padded = static_cast<std::size_t>(n_pairs * kPair);
  data = AlignedBuffer<std::uint8_t>(padded * 4 * static_cast<std::size_t>(space.groups));
  std::fill_n(data.data(), data.size(), static_cast<std::uint8_t>(128));
  scale.assign(padded, 0.0F);
  bias.assign(padded, -std::numeric_limits<float>::infinity());
  reach.assign(static_cast<std::size_t>(n_pairs), 0.0F);
  error.assign(static_cast<std::size_t>(n_pairs), 0.0F);
  parallel_for(n_pairs, n_threads,
               [&](std::int64_t pair, int) { encode_pair(centroids, dim, space, order, pair); });
  for (const float length : reach) wild = wild || !(length < kWildNorm);
}

void CentroidPanels::encode_pair(const float* centroids, std::int64_t dim, const CodeSpace& space,
                                 const std::vector<std::int32_t>& order, std::int64_t pair) {
  constexpr int kTop = 127;
  std::vector<float> values(static_cast<std::size_t>(dim));
  std::vector<std::int8_t> codes(static_cast<std::size_t>(dim));
  for (int i = 0; i < kPair; ++i) {
    const std::int64_t position = pair * kPair + i;
    if (position >= std::ssize(order)) break;
    const Measured measured = shift(centroids + order[position] * dim, space, dim, values.data());
    // NaN and infinity count as too long: max() would lose a NaN.
    const bool tame = measured.norm < kWildNorm;
    reach[pair] =
        tame ? std::max(reach[pair], measured.norm) : std::numeric_limits<float>::infinity();
    if (!tame) continue;
    const float step = step_of(measured.largest, kTop);
    const Coded coded = to_codes(values.data(), dim, step, space.rounding, codes.data());
    scale[position] = step;
    double square = 0.0;
    for (const float value : values) square += static_cast<double>(value) * value;
    bias[position] = static_cast<float>(-0.5 * square);
    error[pair] = std::max(error[pair], coded.residual);
    std::uint8_t* panel =
        data.data() + (pair * kPair + i / kPanelRows * kPanelRows) * 4 * space.groups;
    for (std::int64_t d = 0; d < dim; ++d) {
      panel[(d / 4) * 64 + (i % kPanelRows) * 4 + d % 4] =
          static_cast<std::uint8_t>(codes[d] + 128);
    }
  }
}

namespace {

// Reorders `span` so that its first `half` members lie on one side.
void split(const float* centroids, std::int64_t dim, std::int32_t* span, std::int64_t count,
           std::int64_t half, std::vector<double>& along) {
  const auto distance = [&](const double* a, std::int32_t b) {
    double sum = 0.0;
    for (std::int64_t d = 0; d < dim; ++d) {
      const double x = a[d] - static_cast<double>(centroids[b * dim + d]);
      sum += x * x;
    }
    return sum;
  };
  const auto farthest = [&](const double* from) {
    std::int64_t best = 0;
    double most = -1.0;
    for (std::int64_t i = 0; i < count; ++i) {
      const double far = distance(from, span[i]);
      if (far > most) {
        most = far;
        best = i;
      }
    }
    return span[best];
  };
  std::vector<double> point(static_cast<std::size_t>(dim), 0.0);
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t d = 0; d < dim; ++d) point[d] += centroids[span[i] * dim + d];
  }
  for (double& value : point) value /= static_cast<double>(count);
  const std::int32_t a = farthest(point.data());
  for (std::int64_t d = 0; d < dim; ++d) point[d] = centroids[a * dim + d];
  const std::int32_t b = farthest(point.data());
  for (std::int64_t d = 0; d < dim; ++d) point[d] -= centroids[b * dim + d];
  for (std::int64_t i = 0; i < count; ++i) {
    double dot = 0.0;
    for (std::int64_t d = 0; d < dim; ++d) dot += point[d] * centroids[span[i] * dim + d];
    along[span[i]] = dot;
  }
  std::nth_element(span, span + half, span + count, [&](std::int32_t x, std::int32_t y) {
    return along[x] != along[y] ? along[x] < along[y] : x < y;
  });
}

}  // namespace

std::vector<std::int32_t> neighbourly_order(const float* centroids, std::int64_t k,
                                            std::int64_t dim, std::int64_t group) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(k));
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> along(static_cast<std::size_t>(k));
  std::vector<std::pair<std::int64_t, std::int64_t>> spans{{0, k}};
  while (!spans.empty()) {
    const auto [first, last] = spans.back();
    spans.pop_back();
    const std::int64_t groups = (last - first + group - 1) / group;
    if (groups < 2) continue;
    const std::int64_t half = groups / 2 * group;
    split(centroids, dim, order.data() + first, last - first, half, along);
    spans.emplace_back(first, first + half);
    spans.emplace_back(first + half, last);
  }
  return order;
}

}  // namespace vl
