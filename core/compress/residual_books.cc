// SPDX-License-Identifier: Apache-2.0
#include "compress/residual_books.h"

#include <algorithm>

#include "base/float16.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr int kPairRows = kPanelsPerCall * kPanelRows;

// float32_to_bfloat16 for finite values: without its test for NaN the loop is vectorised.
std::uint16_t round_finite(float value) {
  const std::uint32_t bits = float32_bits(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace

AdditiveBooks::AdditiveBooks(const AdditiveShape& shape, const float* codebooks)
    : shape_(shape),
      codebooks_(codebooks),
      groups_(static_cast<int>((shape.dim + 2 * kGroupStep - 1) / (2 * kGroupStep) * kGroupStep)),
      padded_((shape.n_codewords + kPairRows - 1) / kPairRows * kPairRows),
      panels_(static_cast<std::size_t>(shape.n_codebooks) * static_cast<std::size_t>(padded_) *
              static_cast<std::size_t>(groups_) * 2),
      norms_(static_cast<std::size_t>(shape.n_codebooks) *
             static_cast<std::size_t>(shape.n_codewords)) {
  std::fill_n(panels_.data(), panels_.size(), std::uint16_t{0});
  for (int m = 0; m < shape.n_codebooks; ++m) {
    for (int k = 0; k < shape.n_codewords; ++k) {
      const float* from = word(m, k);
      const std::int64_t panel = (static_cast<std::int64_t>(m) * padded_ + k) / kPanelRows;
      std::uint16_t* to = panels_.data() + panel * groups_ * kPanelRows * 2 + k % kPanelRows * 2;
      double norm = 0.0;
      for (std::int64_t d = 0; d < shape.dim; ++d) {
        to[d / 2 * kPanelRows * 2 + d % 2] = float32_to_bfloat16(from[d]);
        norm += static_cast<double>(from[d]) * static_cast<double>(from[d]);
      }
      norms_[static_cast<std::size_t>(m) * static_cast<std::size_t>(shape.n_codewords) +
             static_cast<std::size_t>(k)] = static_cast<float>(norm);
    }
  }
}

void AdditiveBooks::round_row(const float* row, std::uint16_t* out) const {
  const std::int64_t dim = shape_.dim;
  for (std::int64_t d = 0; d < dim; ++d) out[d] = round_finite(row[d]);
  std::fill(out + dim, out + row_halves(), std::uint16_t{0});
}

void AdditiveBooks::products(int book, const std::uint16_t* rows, int n_rows, float* out) const {
  const PanelProduct product = panel_kernels().product_bf16;
  const std::uint16_t* panels =
      panels_.data() + static_cast<std::int64_t>(book) * padded_ * groups_ * 2;
  product(rows, row_halves() * 2, n_rows, panels, static_cast<int>(padded_ / kPairRows), groups_,
          out, padded_);
}

}  // namespace vl
