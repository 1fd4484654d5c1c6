// SPDX-License-Identifier: Apache-2.0
#include "compress/float8.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/float16.h"
#include "base/threads.h"
#include "simd/pair.h"

namespace vl {
namespace {

// A task reads about this many bytes of its input: small enough for the L2 cache, so that several
// queries find a block of codes there, large enough to make handing out tasks cheap.
constexpr std::int64_t kTaskBytes = 1 << 18;

std::int64_t rows_a_task(std::int64_t row_bytes) {
  return std::max<std::int64_t>(1, kTaskBytes / std::max<std::int64_t>(1, row_bytes));
}

template <class Body>
void over_rows(std::int64_t n, std::int64_t row_bytes, int n_jobs, const Body& body) {
  const std::int64_t step = rows_a_task(row_bytes);
  parallel_for((n + step - 1) / step, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    const std::int64_t from = task * step;
    body(from, std::min(step, n - from));
  });
}

// The smallest bit pattern of a magnitude that the kind cannot hold: it rounds to infinity.
std::uint32_t overflow_bits(Kind kind) {
  return kind == Kind::kFloat16 ? 0x477FF000u : 0x7F7F8000u;
}

[[noreturn]] void refuse_overflow(Kind kind, const float* x, std::int64_t from, std::int64_t n,
                                  std::int64_t dim) {
  const bool half = kind == Kind::kFloat16;
  for (std::int64_t i = 0; i < n * dim; ++i) {
    if ((float32_bits(x[i]) & 0x7FFFFFFFu) < overflow_bits(kind)) continue;
    throw Error(ErrorKind::kParameter,
                "row " + std::to_string(from + i / dim) + " holds " + std::to_string(x[i]) +
                    (half ? "; float16 ends at 65504. Scale the vectors, or take BFloat16."
                          : "; bfloat16 ends at 3.3895e38. Scale the vectors."));
  }
  throw Error(ErrorKind::kInternal, "narrow_float16: an overflow was seen and not found");
}

double squared_norm(const float* x, std::int64_t dim) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < dim; ++i)
    sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

// Scores by any pair of kernels: ip(q, first row, rows, out) and l2(q, ...), where q counts queries
// and -1 stands for the zero vector (so that l2 gives squared norms).
template <class Ip, class L2>
void score_blocks(const ScoreJob& job, std::int64_t row_bytes, const Ip& ip, const L2& l2) {
  std::vector<double> norms(static_cast<std::size_t>(job.n_queries));
  for (std::int64_t q = 0; q < job.n_queries; ++q) {
    norms[static_cast<std::size_t>(q)] =
        std::sqrt(squared_norm(job.queries + q * job.dim, job.dim));
  }
  over_rows(job.n, row_bytes, job.n_jobs, [&](std::int64_t from, std::int64_t count) {
    std::vector<float> lengths;
    if (job.metric == Metric::kCosine) {
      lengths.resize(static_cast<std::size_t>(count));
      l2(-1, from, count, lengths.data());
    }
    for (std::int64_t q = 0; q < job.n_queries; ++q) {
      float* out = job.out + q * job.n + from;
      if (job.metric == Metric::kL2) {
        l2(q, from, count, out);
        for (std::int64_t j = 0; j < count; ++j) out[j] = -out[j];
        continue;
      }
      ip(q, from, count, out);
      if (job.metric != Metric::kCosine) continue;
      for (std::int64_t j = 0; j < count; ++j) {
        const double length = norms[static_cast<std::size_t>(q)] *
                              std::sqrt(static_cast<double>(lengths[static_cast<std::size_t>(j)]));
        out[j] = length > 0.0 ? static_cast<float>(static_cast<double>(out[j]) / length) : 0.0f;
      }
    }
  });
}

}  // namespace

void encode_float8(Float8Format format, const float* x, const float* factor, std::int64_t n,
                   std::int64_t dim, std::uint8_t* out, int n_jobs) {
  const EncodeFloat8 encode = float8_kernels().encode[static_cast<int>(format)];
  over_rows(n, dim * 4, n_jobs, [&](std::int64_t from, std::int64_t count) {
    encode(x + from * dim, factor, count, dim, out + from * dim);
  });
}

void decode_float8(Float8Format format, const std::uint8_t* codes, const float* scale,
                   std::int64_t n, std::int64_t dim, float* out, int n_jobs) {
  const DecodeFloat8 decode = float8_kernels().decode[static_cast<int>(format)];
  over_rows(n, dim * 4, n_jobs, [&](std::int64_t from, std::int64_t count) {
    decode(codes + from * dim, scale, count, dim, out + from * dim);
  });
}

void narrow_float16(Kind kind, const float* x, std::int64_t n, std::int64_t dim, std::uint16_t* out,
                    int n_jobs) {
  const Narrow16 narrow = float8_kernels().narrow[kind == Kind::kBFloat16];
  over_rows(n, dim * 4, n_jobs, [&](std::int64_t from, std::int64_t count) {
    const std::uint32_t largest = narrow(x + from * dim, count * dim, out + from * dim);
    if (largest >= overflow_bits(kind)) refuse_overflow(kind, x + from * dim, from, count, dim);
  });
}

void widen_float16(Kind kind, const std::uint16_t* x, std::int64_t count, float* out, int n_jobs) {
  const Widen16 widen = float8_kernels().widen[kind == Kind::kBFloat16];
  over_rows(count, 4, n_jobs,
            [&](std::int64_t from, std::int64_t some) { widen(x + from, some, out + from); });
}

void score_float8(const ScoreJob& job, Float8Format format, const std::uint8_t* codes,
                  const float* scale) {
  const auto at = static_cast<int>(format);
  const Float8Kernels& kernels = float8_kernels();
  const auto dim = static_cast<std::size_t>(job.dim);
  std::vector<float> scales(dim, 1.0f);
  if (scale != nullptr) std::copy_n(scale, dim, scales.begin());
  // sum q (s v) = sum (q s) v: the scales move into a copy of the queries.
  std::vector<float> scaled(static_cast<std::size_t>(job.n_queries) * dim);
  for (std::size_t i = 0; i < scaled.size(); ++i) scaled[i] = job.queries[i] * scales[i % dim];
  const std::vector<float> origin(dim, 0.0f);
  score_blocks(
      job, job.dim,
      [&](std::int64_t q, std::int64_t from, std::int64_t count, float* out) {
        kernels.ip[at](scaled.data() + q * job.dim, codes + from * job.dim, nullptr, count, job.dim,
                       out);
      },
      [&](std::int64_t q, std::int64_t from, std::int64_t count, float* out) {
        const float* query = q < 0 ? origin.data() : job.queries + q * job.dim;
        kernels.l2[at](query, scales.data(), codes + from * job.dim, nullptr, count, job.dim, out);
      });
}

void score_float16(const ScoreJob& job, Kind kind, const std::uint16_t* codes) {
  const auto at = static_cast<int>(kind);
  const PairKernels& kernels = pair_kernels();
  const std::vector<float> origin(static_cast<std::size_t>(job.dim), 0.0f);
  score_blocks(
      job, job.dim * 2,
      [&](std::int64_t q, std::int64_t from, std::int64_t count, float* out) {
        kernels.ip[at](job.queries + q * job.dim, codes + from * job.dim, nullptr, count, job.dim,
                       out);
      },
      [&](std::int64_t q, std::int64_t from, std::int64_t count, float* out) {
        const float* query = q < 0 ? origin.data() : job.queries + q * job.dim;
        kernels.l2[at](query, codes + from * job.dim, nullptr, count, job.dim, out);
      });
}

}  // namespace vl
