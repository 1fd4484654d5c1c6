// SPDX-License-Identifier: Apache-2.0
#include "index/points.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "index/scoring.h"

namespace vl {

void Points::row(std::int64_t position, float* out) const {
  decode_row(rows_, position, out);
  if (metric_ == Metric::kCosine) {
    const auto scale = static_cast<float>(1.0 / norms_[position]);
    for (std::int64_t d = 0; d < rows_.dim; ++d) out[d] *= scale;
  } else if (metric_ == Metric::kIp) {
    const double rest = static_cast<double>(radius_) * static_cast<double>(radius_) -
                        norms_[position] * norms_[position];
    out[rows_.dim] = static_cast<float>(std::sqrt(std::max(0.0, rest)));
  }
}

void Points::query(const float* values, float* out) const {
  std::copy_n(values, rows_.dim, out);
  if (metric_ == Metric::kL2) return;
  const double norm = vector_norm(values, rows_.dim);
  const double length = metric_ == Metric::kIp ? static_cast<double>(radius_) : 1.0;
  const auto scale = static_cast<float>(norm > 0.0 ? length / norm : 0.0);
  for (std::int64_t d = 0; d < rows_.dim; ++d) out[d] *= scale;
  if (metric_ == Metric::kIp) out[rows_.dim] = 0.0F;
}

double Points::square_at(double score, double query_norm) const {
  if (metric_ == Metric::kL2) return -score;
  if (metric_ == Metric::kCosine) return 2.0 - 2.0 * score;
  const auto radius = static_cast<double>(radius_);
  if (query_norm > 0.0) return 2.0 * radius * (radius - score / query_norm);
  return score > 0.0 ? 0.0 : std::numeric_limits<double>::infinity();
}

const float* Points::in_place() const {
  if (rows_.kind != Kind::kFloat32 || metric_ == Metric::kIp) return nullptr;
  if (metric_ == Metric::kCosine) {
    const bool unit = std::all_of(norms_, norms_ + rows_.n,
                                  [](double norm) { return std::abs(norm - 1.0) < 1e-5; });
    if (!unit) return nullptr;
  }
  return static_cast<const float*>(rows_.data);
}

float squared_distance(const float* a, const float* b, std::int64_t dim) {
  float sums[16] = {};
  std::int64_t d = 0;
  for (; d + 16 <= dim; d += 16) {
    for (int i = 0; i < 16; ++i) sums[i] += (a[d + i] - b[d + i]) * (a[d + i] - b[d + i]);
  }
  float sum = std::accumulate(sums, sums + 16, 0.0F);
  for (; d < dim; ++d) sum += (a[d] - b[d]) * (a[d] - b[d]);
  return sum;
}

bool Points::same(std::int64_t a, std::int64_t b) const {
  if (rows_.scale != nullptr && rows_.scale[a] != rows_.scale[b]) return false;
  return std::memcmp(rows_.row(a), rows_.row(b), rows_.stride()) == 0;
}

}  // namespace vl
