// SPDX-License-Identifier: Apache-2.0
// Scores of a quantized query against codes; formula and error bound in levels.h.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "base/threads.h"
#include "compress/levels.h"
#include "compress/levels_scratch.h"

namespace vl {
namespace {

// Rows a block: planes after the first, and the other queries, then find them in the L1 cache.
constexpr std::int64_t kBlockRows = 128;
constexpr std::int64_t kTaskRows = 1024;
constexpr int kOneDigit = 127;
constexpr int kTwoDigits = 128 * 127 + 63;

// The nearest whole number, the even one of two; |x| < 2^22. Adding 1.5 * 2^23 leaves no room for a
// fraction, so that the low bits of the sum are the answer: a loop of these is vectorized, a loop
// of std::nearbyint is not.
std::int32_t nearest_int(float x) {
  return std::bit_cast<std::int32_t>(x + 12582912.0f) - std::bit_cast<std::int32_t>(12582912.0f);
}

}  // namespace

LevelQuery LevelCodec::prepare(const float* query) const {
  std::vector<float> rotated(query, query + dim());
  rotate(rotated.data(), false);
  return prepare_rotated(rotated.data());
}

LevelQuery LevelCodec::prepare_rotated(const float* query) const {
  LevelQuery out;
  const bool fine = calibration_.bits > 4 || calibration_.residual_bits > 0;
  out.n_digits = fine ? 2 : 1;
  const std::size_t size = static_cast<std::size_t>(dim());
  std::vector<float> scaled(query, query + dim());
  if (weight() != nullptr) {
    for (std::size_t i = 0; i < size; ++i) scaled[i] *= calibration_.weight[i];
  }
  double sum = 0, squares = 0;
  float largest = 0;
  for (std::size_t i = 0; i < size; ++i) {
    sum += static_cast<double>(scaled[i]);
    squares += static_cast<double>(query[i]) * static_cast<double>(query[i]);
    largest = std::max(largest, std::abs(scaled[i]));
  }
  const float limit = static_cast<float>(fine ? kTwoDigits : kOneDigit);
  out.step = largest / limit;
  const float inverse = largest > 1e-34f ? limit / largest : 0.0f;
  std::vector<std::int8_t> high(size), low(size);
  std::int64_t total = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const std::int32_t v = nearest_int(scaled[i] * inverse);
    total += v;
    const std::int32_t top = fine ? (v + 64) >> 7 : v;
    high[i] = static_cast<std::int8_t>(top);
    low[i] = static_cast<std::int8_t>(v - 128 * top);
  }
  out.total = static_cast<float>(total);
  out.sum = static_cast<float>(sum);
  out.squares = static_cast<float>(squares);
  std::int64_t at = 0;
  for (const LevelPlane& plane : planes_) {
    out.starts.push_back(at);
    at += out.n_digits * plane_query_size(plane.bits, dim());
  }
  out.digits = AlignedBuffer<std::int8_t>(static_cast<std::size_t>(at));
  for (std::size_t p = 0; p < planes_.size(); ++p) {
    std::int8_t* to = out.digits.data() + out.starts[p];
    arrange_query(planes_[p].bits, dim(), high.data(), to);
    if (fine) {
      arrange_query(planes_[p].bits, dim(), low.data(),
                    to + plane_query_size(planes_[p].bits, dim()));
    }
  }
  for (std::int64_t c = 0; c < n_centroids_; ++c) {
    double product = 0;
    for (std::int64_t i = 0; i < dim(); ++i) {
      product += static_cast<double>(query[i]) * static_cast<double>(mean(c)[i]);
    }
    out.products.push_back(static_cast<float>(product));
  }
  return out;
}

void LevelCodec::score_block(const LevelQuery& query, const std::uint8_t* codes,
                             std::int64_t stride, const std::int64_t* rows, std::int64_t n,
                             bool first_only, float* out) const {
  const LevelKernels& kernels = level_kernels();
  std::int32_t sums[2 * kBlockRows];
  float total[kBlockRows];
  std::fill_n(total, n, -middle_ * query.total);
  for (std::size_t p = 0; p < planes_.size(); ++p) {
    const LevelPlane& plane = planes_[p];
    if (plane.residual && first_only) continue;
    kernels.dot[plane_kind(plane.bits)][query.n_digits - 1](
        codes + plane.offset, stride, rows, n, dim(), query.digits.data() + query.starts[p], sums);
    if (query.n_digits == 1) {
      for (std::int64_t j = 0; j < n; ++j) total[j] += plane.scale * static_cast<float>(sums[j]);
    } else {
      const float place = 128.0f * plane.scale;
      for (std::int64_t j = 0; j < n; ++j) {
        total[j] += place * static_cast<float>(sums[j]);
        total[j] += plane.scale * static_cast<float>(sums[n + j]);
      }
    }
  }
  // A second level counts from half a step of the first below zero.
  if (calibration_.residual_bits > 0 && !first_only) {
    for (std::int64_t j = 0; j < n; ++j) total[j] -= 0.5f * query.total;
  }
  if (calibration_.factors == LevelFactors::kNone) {
    const float constant = query.products[0] + middle_ * query.sum;
    for (std::int64_t j = 0; j < n; ++j) out[j] = constant + query.step * total[j];
    return;
  }
  float a[kBlockRows];
  float b[kBlockRows];
  kernels.factors(codes + factor_offset_, stride, rows, n, calibration_.units, a, b);
  if (calibration_.factors == LevelFactors::kRescaled) {  // a * middle + b is zero
    for (std::int64_t j = 0; j < n; ++j) out[j] = a[j] * (query.step * total[j]);
  } else {
    for (std::int64_t j = 0; j < n; ++j) {
      out[j] = a[j] * (query.step * total[j] + middle_ * query.sum) + b[j] * query.sum;
    }
  }
  if (id_bytes_ == 0) {
    for (std::int64_t j = 0; j < n; ++j) out[j] += query.products[0];
    return;
  }
  const std::uint8_t* ids = codes + id_offset_;
  for (std::int64_t j = 0; j < n; ++j) {
    out[j] += query.products[centroid_of(ids + (rows != nullptr ? rows[j] : j) * stride)];
  }
}

// |x|^2 = |c|^2 + 2 <c, o> + |o|^2 for x = c + o: the first two follow from the score of c, the
// last is stored.
std::vector<LevelQuery> LevelCodec::norm_query() const {
  std::vector<LevelQuery> with;
  if (calibration_.factors == LevelFactors::kRescaled && n_centroids_ == 1) {
    with.push_back(prepare_rotated(mean(0)));
  }
  return with;
}

void LevelCodec::norms_block(const std::vector<LevelQuery>& with, const std::uint8_t* codes,
                             std::int64_t n, float* out, Scratch& scratch) const {
  if (with.empty()) {
    for (std::int64_t j = 0; j < n; ++j) out[j] = norm_of(codes + j * row_bytes_, scratch);
    return;
  }
  float a[kBlockRows];
  float length[kBlockRows];
  score_block(with[0], codes, row_bytes_, nullptr, n, false, out);
  level_kernels().factors(codes + factor_offset_, row_bytes_, nullptr, n, calibration_.units, a,
                          length);
  for (std::int64_t j = 0; j < n; ++j) {
    out[j] = std::max(0.0f, 2.0f * out[j] - with[0].squares + length[j] * length[j]);
  }
}

void LevelCodec::norms(const std::uint8_t* codes, std::int64_t n, float* out, int n_jobs) const {
  const std::vector<LevelQuery> with = norm_query();
  const std::int64_t n_blocks = (n + kBlockRows - 1) / kBlockRows;
  parallel_for(n_blocks, resolve_jobs(n_jobs), [&](std::int64_t block, int) {
    Scratch scratch(dim());
    const std::int64_t at = block * kBlockRows;
    norms_block(with, codes + at * row_bytes_, std::min(kBlockRows, n - at), out + at, scratch);
  });
}

void LevelCodec::score(const LevelQuery& query, const std::uint8_t* codes, std::int64_t stride,
                       const std::int64_t* rows, std::int64_t n, bool first_only,
                       float* out) const {
  for (std::int64_t at = 0; at < n; at += kBlockRows) {
    const std::int64_t count = std::min(kBlockRows, n - at);
    if (rows != nullptr) {
      score_block(query, codes, stride, rows + at, count, first_only, out + at);
    } else {
      score_block(query, codes + at * stride, stride, nullptr, count, first_only, out + at);
    }
  }
}

void LevelCodec::scores(const float* queries, std::int64_t n_queries, const std::uint8_t* codes,
                        std::int64_t n, int metric, bool first_only, float* out, int n_jobs) const {
  std::vector<LevelQuery> prepared;
  prepared.reserve(static_cast<std::size_t>(n_queries));
  for (std::int64_t q = 0; q < n_queries; ++q) prepared.push_back(prepare(queries + q * dim()));
  std::vector<LevelQuery> norm_with;
  if (metric != 0) norm_with = norm_query();
  const std::int64_t n_tasks = (n + kTaskRows - 1) / kTaskRows;
  parallel_for(n_tasks, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    Scratch scratch(dim());
    float norms[kBlockRows];
    const std::int64_t last = std::min(n, (task + 1) * kTaskRows);
    for (std::int64_t at = task * kTaskRows; at < last; at += kBlockRows) {
      const std::int64_t count = std::min(kBlockRows, last - at);
      const std::uint8_t* block = codes + at * row_bytes_;
      if (metric != 0) norms_block(norm_with, block, count, norms, scratch);
      for (std::int64_t q = 0; q < n_queries; ++q) {
        const LevelQuery& query = prepared[static_cast<std::size_t>(q)];
        float* to = out + q * n + at;
        score_block(query, block, row_bytes_, nullptr, count, first_only, to);
        if (metric == 1) {
          for (std::int64_t j = 0; j < count; ++j) {
            to[j] = std::min(0.0f, 2.0f * to[j] - norms[j] - query.squares);
          }
        } else if (metric == 2) {
          const float length = std::sqrt(query.squares);
          for (std::int64_t j = 0; j < count; ++j) {
            const float both = length * std::sqrt(norms[j]);
            to[j] = both > 0 ? to[j] / both : 0.0f;
          }
        }
      }
    }
  });
}

}  // namespace vl
