// SPDX-License-Identifier: Apache-2.0
#include "compress/codebook.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/float16.h"

namespace vl {
namespace {

std::int32_t brain_pair(float even, float odd) {
  const std::uint32_t low = float32_to_bfloat16(even);
  const std::uint32_t high = float32_to_bfloat16(odd);
  return static_cast<std::int32_t>(low | (high << 16));
}

std::size_t size_of(int a, int b) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

}  // namespace

Codebook::Codebook(int n_codewords, int width, bool pairs)
    : n_codewords_(n_codewords),
      padded_((n_codewords + kBookGroup - 1) / kBookGroup * kBookGroup),
      width_(width),
      words_(size_of(padded_, width)),
      pairs_(pairs ? size_of(padded_, (width + 1) / 2) : 0),
      half_norms_(static_cast<std::size_t>(padded_)),
      center_(static_cast<std::size_t>(width)) {
  std::fill_n(words_.data(), words_.size(), 0.0F);
  std::fill_n(pairs_.data(), pairs_.size(), 0);
  std::fill_n(half_norms_.data(), half_norms_.size(), std::numeric_limits<float>::infinity());
}

void Codebook::set(const float* codewords) {
  std::vector<double> sum(static_cast<std::size_t>(width_), 0.0);
  for (int k = 0; k < n_codewords_; ++k) {
    for (int d = 0; d < width_; ++d) {
      sum[static_cast<std::size_t>(d)] +=
          static_cast<double>(codewords[size_of(k, width_) + static_cast<std::size_t>(d)]);
    }
  }
  std::vector<float> mean(sum.size());
  for (std::size_t d = 0; d < sum.size(); ++d) mean[d] = static_cast<float>(sum[d] / n_codewords_);
  set(codewords, mean.data());
}

void Codebook::set(const float* codewords, const float* center) {
  std::copy_n(center, width_, center_.data());
  const int n_pairs = (width_ + 1) / 2;
  for (int k = 0; k < n_codewords_; ++k) {
    const float* word = codewords + size_of(k, width_);
    float* to = words_.data() + size_of(k / kBookGroup, width_ * kBookGroup) + k % kBookGroup;
    double norm = 0.0;
    for (int d = 0; d < width_; ++d) {
      const float value = word[d] - center[d];
      to[d * kBookGroup] = -value;
      norm += static_cast<double>(value) * static_cast<double>(value);
    }
    half_norms_[static_cast<std::size_t>(k)] = static_cast<float>(norm / 2);
    for (int s = 0; s < n_pairs && pairs_.size() != 0; ++s) {
      const float odd = 2 * s + 1 < width_ ? to[(2 * s + 1) * kBookGroup] : 0.0F;
      pairs_[size_of(k / kBookGroup, n_pairs * kBookGroup) + size_of(s, kBookGroup) +
             static_cast<std::size_t>(k % kBookGroup)] = brain_pair(to[2 * s * kBookGroup], odd);
    }
  }
}

CodewordBook Codebook::floats() const {
  return {words_.data(), half_norms_.data(), padded_, width_};
}

CodewordBook Codebook::pairs() const {
  return {pairs_.data(), half_norms_.data(), padded_, (width_ + 1) / 2};
}

void fill_tile(const float* rows, std::int64_t stride, int n_rows, const float* center, int width,
               float* tile) {
  for (int i = 0; i < n_rows; ++i) {
    const float* row = rows + i * stride;
    for (int d = 0; d < width; ++d) tile[d * kTilePoints + i] = row[d] - center[d];
  }
  for (int d = 0; d < width && n_rows < kTilePoints; ++d) {
    std::fill(tile + d * kTilePoints + n_rows, tile + (d + 1) * kTilePoints, 0.0F);
  }
}

void pair_tile(const float* tile, int width, std::int32_t* pairs) {
  for (int s = 0; 2 * s < width; ++s) {
    const float* even = tile + static_cast<std::ptrdiff_t>(2 * s) * kTilePoints;
    const bool whole = 2 * s + 1 < width;
    for (int i = 0; i < kTilePoints; ++i) {
      pairs[s * kTilePoints + i] = brain_pair(even[i], whole ? even[kTilePoints + i] : 0.0F);
    }
  }
}

}  // namespace vl
