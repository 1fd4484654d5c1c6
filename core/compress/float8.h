// SPDX-License-Identifier: Apache-2.0
// Whole matrices of short floats, in parallel: casts to float16 and bfloat16, 8-bit codes, scores
// of float32 queries against either. Every result is the same at any number of threads.
#pragma once

#include <cstdint>

#include "base/rows.h"
#include "simd/float8.h"

namespace vl {

// codes = float8(factor * x), scale * value(codes) = x; either array may be null for ones.
void encode_float8(Float8Format format, const float* x, const float* factor, std::int64_t n,
                   std::int64_t dim, std::uint8_t* out, int n_jobs);
void decode_float8(Float8Format format, const std::uint8_t* codes, const float* scale,
                   std::int64_t n, std::int64_t dim, float* out, int n_jobs);

// `kind` is kFloat16 or kBFloat16. Throws ParameterError with the first row that holds NaN or a
// value whose nearest neighbour is infinite.
void narrow_float16(Kind kind, const float* x, std::int64_t n, std::int64_t dim, std::uint16_t* out,
                    int n_jobs);
void widen_float16(Kind kind, const std::uint16_t* x, std::int64_t count, float* out, int n_jobs);

// out (n_queries, n), larger is closer: inner product, minus squared distance, or cosine (0 where a
// vector has no length). One pass over the codes whatever the number of queries.
struct ScoreJob {
  Metric metric = Metric::kIp;
  const float* queries = nullptr;
  std::int64_t n_queries = 0;
  std::int64_t n = 0;
  std::int64_t dim = 0;
  float* out = nullptr;
  int n_jobs = 0;
};
void score_float8(const ScoreJob& job, Float8Format format, const std::uint8_t* codes,
                  const float* scale);
void score_float16(const ScoreJob& job, Kind kind, const std::uint16_t* codes);

}  // namespace vl
