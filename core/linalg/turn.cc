// SPDX-License-Identifier: Apache-2.0
#include "linalg/turn.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "base/float16.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kPairRows = kPanelsPerCall * kPanelRows;
static_assert(kTurnRows % kQueryPad == 0);

std::int64_t rounded_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

}  // namespace

// One float32, or two bfloat16; zeros beyond the last dimension.
std::uint32_t Turn::group_of(const float* row, const float* origin, std::int64_t group) const {
  const auto at = [&](std::int64_t d) {
    if (d >= dim_) return 0.0f;
    return origin != nullptr ? row[d] - origin[d] : row[d];
  };
  if (!narrow_) return std::bit_cast<std::uint32_t>(at(group));
  const std::uint32_t high = float32_to_bfloat16(at(2 * group + 1));
  return float32_to_bfloat16(at(2 * group)) | (high << 16);
}

Turn::Turn(const float* matrix, std::int64_t m, std::int64_t dim, const float* origin)
    : dim_(dim),
      padded_m_(rounded_up(m, kPairRows)),
      narrow_(panel_kernels().level >= SimdLevel::kAvx512Bf16),
      origin_(origin, origin + dim),
      offset_(static_cast<std::size_t>(padded_m_), 0.0f) {
  groups_ = static_cast<int>(rounded_up(narrow_ ? (dim + 1) / 2 : dim, kGroupStep));
  panels_ = AlignedBuffer<std::uint32_t>(static_cast<std::size_t>(padded_m_ * groups_));
  for (std::int64_t j = 0; j < padded_m_; ++j) {
    std::uint32_t* panel = panels_.data() + j / kPanelRows * kPanelRows * groups_ + j % kPanelRows;
    const float* row = matrix + j * dim;
    for (std::int64_t g = 0; g < groups_; ++g) {
      panel[g * kPanelRows] = j < m ? group_of(row, nullptr, g) : 0;
    }
    double sum = 0.0;
    for (std::int64_t d = 0; j < m && d < dim; ++d) {
      sum += static_cast<double>(row[d]) * static_cast<double>(origin[d]);
    }
    offset_[static_cast<std::size_t>(j)] = static_cast<float>(sum);
  }
}

Turn::Scratch Turn::scratch() const {
  return {AlignedBuffer<std::uint32_t>(static_cast<std::size_t>(kTurnRows * groups_)),
          AlignedBuffer<float>(static_cast<std::size_t>(kTurnRows * padded_m_))};
}

void Turn::apply(const float* x, int n, std::int64_t wanted, Scratch& scratch) const {
  const std::int64_t m = std::min(padded_m_, rounded_up(wanted, kPairRows));
  const std::int64_t whole = narrow_ ? dim_ / 2 : dim_;  // groups without padding
  for (int i = 0; i < n; ++i) {
    const float* row = x + i * dim_;
    std::uint32_t* to = scratch.rows.data() + static_cast<std::ptrdiff_t>(i) * groups_;
    if (narrow_) {  // rounded to nearest, ties up: what comes is finite
      for (std::int64_t g = 0; g < whole; ++g) {
        const auto low = std::bit_cast<std::uint32_t>(row[2 * g] - origin_[2 * g]);
        const auto high = std::bit_cast<std::uint32_t>(row[2 * g + 1] - origin_[2 * g + 1]);
        to[g] = ((low + 0x8000u) >> 16) | ((high + 0x8000u) & 0xffff0000u);
      }
    } else {
      for (std::int64_t g = 0; g < whole; ++g) {
        to[g] = std::bit_cast<std::uint32_t>(row[g] - origin_[g]);
      }
    }
    for (std::int64_t g = whole; g < groups_; ++g) to[g] = group_of(row, origin_.data(), g);
  }
  const PanelProduct product = narrow_ ? panel_kernels().product_bf16 : panel_kernels().product_f32;
  product(scratch.rows.data(), static_cast<std::int64_t>(groups_) * kGroupBytes, n, panels_.data(),
          static_cast<int>(m / kPairRows), groups_, scratch.out.data(), padded_m_);
  for (int i = 0; i < n; ++i) {
    float* out = scratch.out.data() + i * padded_m_;
    for (std::int64_t j = 0; j < m; ++j) out[j] += offset_[static_cast<std::size_t>(j)];
  }
}

}  // namespace vl
