// SPDX-License-Identifier: Apache-2.0
#include "index/lists_queries.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "index/query_code.h"
#include "simd/levels.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr double kRounding = 0x1p-20;  // float32 evaluation of a bound: a dozen roundings of 2^-24
constexpr double kTiny = 1e-30;        // products of subnormal size

struct Coded {
  QueryCode code;
  std::int32_t sum = 0;
  double square = 0.0;
};

// As encode_query, with the rounding error that uniform values have on average.
Coded encode_fast(const float* values, std::int64_t n, int largest_code, std::uint8_t* levels,
                  std::int8_t* codes) {
  Coded out;
  if (n == 0) return out;
  constexpr int kWidth = 16;
  float most[kWidth] = {};
  float squares[kWidth] = {};
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    for (int j = 0; j < kWidth; ++j) {
      const float value = values[i + j];
      most[j] = std::max(most[j], std::abs(value));
      squares[j] += value * value;
    }
  }
  for (; i < n; ++i) {
    most[0] = std::max(most[0], std::abs(values[i]));
    squares[0] += values[i] * values[i];
  }
  const float largest = *std::max_element(most, most + kWidth);
  for (const float square : squares) out.square += square;
  if (largest > 0.0F) out.code.step = largest / static_cast<float>(largest_code);
  const LevelSums sums =
      level_kernels().quantize(values, n, 1.0F / out.code.step, 128.0F, 255.0F, levels);
  for (std::int64_t j = 0; j < n; ++j) codes[j] = static_cast<std::int8_t>(levels[j] - 128);
  out.sum = static_cast<std::int32_t>(std::lrintf(sums.sum)) - static_cast<std::int32_t>(128 * n);
  const double step = out.code.step;
  out.code.residual = step * std::sqrt(static_cast<double>(n) / 12.0);
  out.code.length = std::sqrt(out.square);
  return out;
}

Coded encode_measured(const float* values, std::int64_t n, int largest_code, std::int8_t* codes) {
  Coded out;
  if (n == 0) return out;
  out.code = encode_query(values, n, largest_code, codes);
  for (std::int64_t i = 0; i < n; ++i) {
    out.sum += codes[i];
    out.square += static_cast<double>(values[i]) * values[i];
  }
  return out;
}

}  // namespace

ListQueries::ListQueries(const ListCodes& codes, const Turn& turn, const float* values,
                         std::int64_t n, bool proven, bool keep)
    : codes_(codes),
      head_size_(codes.shape().head),
      rest_size_(plane_query_size(codes.shape().rest_bits, codes.shape().rest())),
      terms_(static_cast<std::size_t>(n)),
      head_(static_cast<std::size_t>(n * head_size_)),
      rest_(static_cast<std::size_t>(n * rest_size_)),
      levels_(static_cast<std::size_t>(codes.shape().rotated())),
      digits_(static_cast<std::size_t>(codes.shape().rest())) {
  const std::int64_t dim = codes.shape().dim;
  const std::int64_t width = codes.shape().rotated();
  const bool precise = proven || keep;
  Turn::Scratch scratch = turn.scratch();
  const float* center = codes.arrays().center;
  std::vector<float> rotated, centred;
  if (center != nullptr) centred.resize(static_cast<std::size_t>(kTurnRows * dim));
  if (keep) {
    rotated_.resize(static_cast<std::size_t>(n * width));
  } else if (proven) {
    rotated.resize(static_cast<std::size_t>(kTurnRows * width));
  }
  for (std::int64_t first = 0; first < n; first += kTurnRows) {
    const auto count = static_cast<int>(std::min<std::int64_t>(kTurnRows, n - first));
    const float* mine = values + first * dim;
    float* exactly = keep ? rotated_.data() + first * width : rotated.data();
    if (precise) {
      codes.rotate(mine, count, exactly);
    } else if (center == nullptr) {
      turn.apply(mine, count, scratch);
    } else {
      for (std::int64_t i = 0; i < count * dim; ++i)
        centred[static_cast<std::size_t>(i)] = mine[i] - center[i % dim];
      turn.apply(centred.data(), count, scratch);
    }
    const float* from = precise ? exactly : scratch.out.data();
    const std::int64_t stride = precise ? width : turn.stride();
    for (int i = 0; i < count; ++i) prepare(first + i, mine + i * dim, from + i * stride, proven);
  }
}

void ListQueries::prepare(std::int64_t q, const float* values, const float* rotated, bool proven) {
  const ListShape& shape = codes_.shape();
  const std::int64_t rest = shape.rest();
  ListTerms& terms = terms_[static_cast<std::size_t>(q)];
  std::int8_t* head_codes = head_.data() + q * head_size_;
  constexpr int kLargestRest = 127;
  Coded head, tail;
  if (proven) {
    head = encode_measured(rotated, shape.head, panel_kernels().int8_query_max, head_codes);
    tail = encode_measured(rotated + shape.head, rest, kLargestRest, digits_.data());
    const float* center = codes_.arrays().center;
    for (std::int64_t d = 0; d < shape.dim; ++d) {
      const double difference = static_cast<double>(values[d]) - (center ? center[d] : 0.0F);
      terms.square += difference * difference;
    }
  } else {
    head = encode_fast(rotated, shape.head, panel_kernels().int8_query_max, levels_.data(),
                       head_codes);
    tail = encode_fast(rotated + shape.head, rest, kLargestRest, levels_.data(), digits_.data());
    terms.square = head.square + tail.square;
  }
  std::int8_t* to = rest_.data() + q * rest_size_;
  if (rest == rest_size_) {  // whole blocks: in their natural order
    if (rest > 0) std::memcpy(to, digits_.data(), static_cast<std::size_t>(rest));
  } else {
    arrange_query(shape.rest_bits, rest, digits_.data(), to);
  }
  const double rounding = shape.kappa * std::sqrt(terms.square);
  terms.step = head.code.step;
  terms.rest_step = tail.code.step;
  terms.residual = std::hypot(head.code.residual, tail.code.residual) + rounding;
  terms.length = std::hypot(head.code.length, tail.code.length);
  terms.tail = std::sqrt(tail.square) + rounding;
  terms.rest_sum = static_cast<float>(tail.sum);
  terms.start = -128 * head.sum;
}

double ListQueries::slack(std::int64_t q, const BlockMaxima& maxima, double caution) const {
  const ListTerms& t = terms(q);
  const double reach = maxima.reach;
  const double error = maxima.error;
  const double magnitude = (t.length + t.tail) * (reach + error) + maxima.bias + t.square;
  const double codes = t.residual * reach + t.length * error;
  return caution * codes * (1.0 + 1e-6) + kRounding * magnitude + kTiny;
}

}  // namespace vl
