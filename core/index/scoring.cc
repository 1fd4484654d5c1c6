// SPDX-License-Identifier: Apache-2.0
#include "index/scoring.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "base/threads.h"
#include "simd/pair.h"

namespace vl {
namespace {

void score_bits(const Rows& rows, const void* query, const std::int64_t* positions, std::int64_t n,
                double* out) {
  thread_local std::vector<std::int32_t> counts;
  counts.resize(static_cast<std::size_t>(n));
  pair_kernels().hamming(static_cast<const std::uint8_t*>(query), rows.data, positions, n,
                         static_cast<std::int64_t>(rows.stride()), counts.data());
  for (std::int64_t i = 0; i < n; ++i) out[i] = -static_cast<double>(counts[i]);
}

// ip or l2 of raw stored values; rows with a scale are decoded first, since the score is defined on
// the decoded float32 values.
void score_values(const Rows& rows, bool l2, const float* query, const std::int64_t* positions,
                  std::int64_t n, double* out) {
  const PairKernels& kernels = pair_kernels();
  if (rows.scale == nullptr) {
    const ScanF64 scan = (l2 ? kernels.l2_exact : kernels.ip_exact)[static_cast<int>(rows.kind)];
    scan(query, rows.data, positions, n, rows.dim, out);
    return;
  }
  thread_local std::vector<float> row;
  row.resize(static_cast<std::size_t>(rows.dim));
  const ScanF64 scan = (l2 ? kernels.l2_exact : kernels.ip_exact)[static_cast<int>(Kind::kFloat32)];
  for (std::int64_t i = 0; i < n; ++i) {
    decode_row(rows, positions[i], row.data());
    scan(query, row.data(), nullptr, 1, rows.dim, out + i);
  }
}

}  // namespace

void decode_row(const Rows& rows, std::int64_t r, float* out) {
  const void* source = rows.row(r);
  const float scale = rows.scale != nullptr ? rows.scale[r] : 1.0F;
  switch (rows.kind) {
    case Kind::kFloat32: {
      const auto* p = static_cast<const float*>(source);
      std::copy(p, p + rows.dim, out);
      return;
    }
    case Kind::kFloat16: {
      const auto* p = static_cast<const std::uint16_t*>(source);
      for (std::int64_t i = 0; i < rows.dim; ++i) out[i] = float16_to_float32(p[i]);
      return;
    }
    case Kind::kBFloat16: {
      const auto* p = static_cast<const std::uint16_t*>(source);
      for (std::int64_t i = 0; i < rows.dim; ++i) out[i] = bfloat16_to_float32(p[i]);
      return;
    }
    case Kind::kInt8: {
      const auto* p = static_cast<const std::int8_t*>(source);
      for (std::int64_t i = 0; i < rows.dim; ++i) out[i] = scale * static_cast<float>(p[i]);
      return;
    }
    case Kind::kUInt8: {
      const auto* p = static_cast<const std::uint8_t*>(source);
      for (std::int64_t i = 0; i < rows.dim; ++i) out[i] = scale * static_cast<float>(p[i]);
      return;
    }
    case Kind::kBits: {
      const auto* p = static_cast<const std::uint8_t*>(source);
      for (std::int64_t i = 0; i < rows.dim; ++i) {
        out[i] = static_cast<float>((p[i / 8] >> (7 - i % 8)) & 1);  // numpy.packbits order
      }
      return;
    }
  }
}

double vector_norm(const float* values, std::int64_t dim) {
  double square = 0.0;
  pair_kernels().ip_exact[static_cast<int>(Kind::kFloat32)](values, values, nullptr, 1, dim,
                                                            &square);
  return std::sqrt(square);
}

void row_norms(const Rows& rows, int n_jobs, double* out) {
  constexpr std::int64_t kBlock = 4096;
  parallel_for((rows.n + kBlock - 1) / kBlock, resolve_jobs(n_jobs), [&](std::int64_t block, int) {
    std::vector<float> row(static_cast<std::size_t>(rows.dim));
    const std::int64_t end = std::min(rows.n, (block + 1) * kBlock);
    for (std::int64_t r = block * kBlock; r < end; ++r) {
      decode_row(rows, r, row.data());
      out[r] = vector_norm(row.data(), rows.dim);
    }
  });
}

Scorer::Scorer(const Rows& rows, const double* norms, Metric metric, const void* query)
    : rows_(&rows), norms_(norms), metric_(metric), query_(query) {
  if (metric != Metric::kHamming)
    query_norm_ = vector_norm(static_cast<const float*>(query), rows.dim);
}

void Scorer::score(const std::int64_t* positions, std::int64_t n, double* out) const {
  if (metric_ == Metric::kHamming) {
    score_bits(*rows_, query_, positions, n, out);
    return;
  }
  const bool l2 = metric_ == Metric::kL2;
  score_values(*rows_, l2, static_cast<const float*>(query_), positions, n, out);
  if (l2) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = -out[i];
  } else if (metric_ == Metric::kCosine) {
    for (std::int64_t i = 0; i < n; ++i) {
      const double cosine = out[i] / (query_norm_ * norms_[positions[i]]);
      out[i] = std::min(1.0, std::max(-1.0, cosine));  // rounding can pass 1 by an ulp
    }
  }
}

}  // namespace vl
