// SPDX-License-Identifier: Apache-2.0
// The truth: scores in float64 with one fixed order of additions, the same bits at every CPU level
// and thread count. Whatever a fast path proposes is settled here.
#pragma once

#include <cstdint>
#include <vector>

#include "base/rows.h"

namespace vl {

// float32 values of row r as `get` returns them: scale * code rounded to float32 where there is a
// scale.
void decode_row(const Rows& rows, std::int64_t r, float* out);

// Euclidean norm of every row (of the decoded values).
void row_norms(const Rows& rows, int n_jobs, double* out);

double vector_norm(const float* values, std::int64_t dim);

// Scores one query against chosen rows: larger is closer. cosine: cos; ip: inner product; l2: minus
// the squared distance; hamming: minus the number of differing bits.
class Scorer {
 public:
  Scorer() = default;
  // `query` points to float32 values, or to packed bits for Kind::kBits, and must outlive the
  // scorer.
  Scorer(const Rows& rows, const double* norms, Metric metric, const void* query);

  // out[i] = score of rows positions[i]. Scratch is per thread, so one scorer serves many threads.
  void score(const std::int64_t* positions, std::int64_t n, double* out) const;

  double query_norm() const { return query_norm_; }
  const void* query() const { return query_; }

 private:
  const Rows* rows_ = nullptr;
  const double* norms_ = nullptr;
  Metric metric_ = Metric::kIp;
  const void* query_ = nullptr;
  double query_norm_ = 0.0;
};

}  // namespace vl
