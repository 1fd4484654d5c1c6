// SPDX-License-Identifier: Apache-2.0
// Rows as points whose squared distances order them as the metric does:
//   l2: x.   cosine: x / |x|.   ip: (x, sqrt(R^2 - |x|^2)) and queries (R q / |q|, 0), so that
//   |point - query|^2 = 2 R^2 - 2 R <q, x> / |q|.
// A row longer than R gets 0 as its last element: then its distance only bounds its inner product.
#pragma once

#include <cstdint>

#include "base/rows.h"

namespace vl {

class Points {
 public:
  // `radius`: R, for ip alone.
  Points(const Rows& rows, const double* norms, Metric metric, float radius)
      : rows_(rows), norms_(norms), metric_(metric), radius_(radius) {}

  std::int64_t dim() const { return rows_.dim + (metric_ == Metric::kIp ? 1 : 0); }
  std::int64_t n() const { return rows_.n; }
  void row(std::int64_t position, float* out) const;
  void query(const float* values, float* out) const;
  // The rows themselves where they are points as they stand: float32, and of unit length under
  // cosine. Null otherwise.
  const float* in_place() const;
  // Squared distance of a point whose score for a query of this norm is `score`.
  double square_at(double score, double query_norm) const;
  bool same(std::int64_t a, std::int64_t b) const;  // the same row, bit for bit

  const Rows& rows() const { return rows_; }
  const double* norms() const { return norms_; }
  Metric metric() const { return metric_; }

 private:
  Rows rows_;
  const double* norms_;
  Metric metric_;
  float radius_;
};

// In float32, 16 lanes, then the rest in order.
float squared_distance(const float* a, const float* b, std::int64_t dim);

}  // namespace vl
