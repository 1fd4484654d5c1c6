// SPDX-License-Identifier: Apache-2.0
#include "index/screen.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "index/scoring.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr int kCodeMax = 127;
constexpr double kUnit = 0x1p-24;  // unit roundoff of float32

// Upward rounding to float32, so that a bound stays a bound.
float round_up(double value) { return static_cast<float>(value * (1.0 + 0x1p-22)); }

struct Encoded {
  float step = 1.0F;
  double error = 0.0;   // sum (value - step * code)^2
  double square = 0.0;  // sum value^2
};

// Codes of one row's values, offset by 128, into the lane of a panel whose first group is at
// `lane`.
Encoded encode_part(const float* values, std::int64_t n, std::uint8_t* lane) {
  float largest = 0.0F;
  for (std::int64_t j = 0; j < n; ++j) largest = std::max(largest, std::abs(values[j]));
  Encoded out;
  if (largest > 0.0F) out.step = largest / kCodeMax;
  const float inverse = 1.0F / out.step;
  for (std::int64_t j = 0; j < n; ++j) {
    const float scaled = std::min(127.0F, std::max(-127.0F, values[j] * inverse));
    const int code = static_cast<int>(std::lrintf(scaled));
    lane[(j / 4) * 64 + j % 4] = static_cast<std::uint8_t>(code + 128);
    const double rest = static_cast<double>(values[j]) - static_cast<double>(out.step) * code;
    out.error += rest * rest;
    out.square += static_cast<double>(values[j]) * values[j];
  }
  return out;
}

std::int64_t input_groups(std::int64_t dim) {
  return (dim + kGroupStep - 1) / kGroupStep * kGroupStep;
}

}  // namespace

Screen::Screen(Metric metric, std::int64_t dim, int head_groups, const float* rotation,
               double rotation_error, const float* center) {
  shape_.metric = metric;
  shape_.dim = dim;
  shape_.groups = static_cast<int>((dim + 63) / 64 * 16);
  shape_.head_groups = head_groups;
  if (head_groups <= 0 || head_groups > shape_.groups || head_groups % kGroupStep != 0) {
    throw Error(ErrorKind::kParameter, "screen: the head has " + std::to_string(head_groups) +
                                           " groups; expected a multiple of 16 up to " +
                                           std::to_string(shape_.groups));
  }
  const auto count = static_cast<std::size_t>(rotated_dim() * dim);
  owned_.rotation = AlignedBuffer<float>(count);
  std::copy(rotation, rotation + count, owned_.rotation.data());
  rotation_ = owned_.rotation.data();
  if (center != nullptr) {
    owned_.center = AlignedBuffer<float>(static_cast<std::size_t>(dim));
    std::copy(center, center + dim, owned_.center.data());
    center_ = owned_.center.data();
  }
  double frobenius = 0.0;
  for (std::size_t i = 0; i < count; ++i)
    frobenius += static_cast<double>(rotation[i]) * rotation[i];
  shape_.kappa = rotation_error + (static_cast<double>(dim) + 4.0) * kUnit * std::sqrt(frobenius);
  pack_rotation();
}

Screen::Screen(const ScreenShape& shape, const float* rotation, const float* center,
               const std::uint8_t* head, const std::uint8_t* rest, const float* scale,
               const float* rest_scale, const float* tail, const float* bias,
               const BlockMaxima* blocks)
    : shape_(shape),
      rotation_(rotation),
      center_(center),
      head_(head),
      rest_(rest),
      scale_(scale),
      rest_scale_(rest_scale),
      tail_(tail),
      bias_(bias),
      blocks_(blocks) {
  pack_rotation();
}

// Panels of P for product_f32: outputs side by side, one input dimension a group.
void Screen::pack_rotation() {
  const std::int64_t inputs = input_groups(shape_.dim);
  rotation_panels_ = AlignedBuffer<float>(static_cast<std::size_t>(rotated_dim() * inputs));
  std::fill_n(rotation_panels_.data(), rotation_panels_.size(), 0.0F);
  for (std::int64_t j = 0; j < rotated_dim(); ++j) {
    float* panel =
        rotation_panels_.data() + (j / kPanelRows) * inputs * kPanelRows + j % kPanelRows;
    for (std::int64_t g = 0; g < shape_.dim; ++g)
      panel[g * kPanelRows] = rotation_[j * shape_.dim + g];
  }
}

void Screen::rotate(const float* values, std::int64_t m, float* out) const {
  const std::int64_t inputs = input_groups(shape_.dim);
  AlignedBuffer<float> centred(static_cast<std::size_t>(std::max<std::int64_t>(m, 1) * inputs));
  std::fill_n(centred.data(), centred.size(), 0.0F);
  for (std::int64_t i = 0; i < m; ++i) {
    const float* from = values + i * shape_.dim;
    float* to = centred.data() + i * inputs;
    for (std::int64_t d = 0; d < shape_.dim; ++d) {
      to[d] = center_ != nullptr ? from[d] - center_[d] : from[d];
    }
  }
  const PanelKernels& kernels = panel_kernels();
  kernels.product_f32(centred.data(), inputs * 4, static_cast<int>(m), rotation_panels_.data(),
                      static_cast<int>(rotated_dim() / (2 * kPanelRows)), static_cast<int>(inputs),
                      out, rotated_dim());
}

std::size_t Screen::bytes() const {
  const auto rows = static_cast<std::size_t>(padded_rows());
  const std::size_t per_row =
      static_cast<std::size_t>(rotated_dim()) + (bias_ != nullptr ? 16 : 12);
  const auto square = static_cast<std::size_t>(rotated_dim() * shape_.dim) * 4;
  return rows * per_row + static_cast<std::size_t>(n_blocks()) * sizeof(BlockMaxima) + square;
}

// Makes room for n rows, in owned memory. Padding rows hold code 0 and score 0: callers drop them.
void Screen::reserve(std::int64_t n) {
  if (n <= capacity_) return;
  const std::int64_t wanted =
      capacity_ == 0 && shape_.n == 0 ? n : std::max(n, shape_.n + shape_.n / 4);
  const std::int64_t rows = (wanted + kScreenBlock - 1) / kScreenBlock * kScreenBlock;
  const auto count = static_cast<std::size_t>(rows);
  AlignedBuffer<std::uint8_t> head(count * static_cast<std::size_t>(head_dim()));
  AlignedBuffer<std::uint8_t> rest(count * static_cast<std::size_t>(rest_dim()));
  AlignedBuffer<float> scale(count);
  AlignedBuffer<float> rest_scale(count);
  AlignedBuffer<float> tail(count);
  AlignedBuffer<float> bias(shape_.metric == Metric::kL2 ? count : 0);
  AlignedBuffer<BlockMaxima> blocks(count / kScreenBlock);
  const auto kept = static_cast<std::size_t>(shape_.n == 0 ? 0 : padded_rows());
  const std::size_t kept_head = kept * static_cast<std::size_t>(head_dim());
  const std::size_t kept_rest = kept * static_cast<std::size_t>(rest_dim());
  if (kept != 0) {
    std::memcpy(head.data(), head_, kept_head);
    if (kept_rest != 0) std::memcpy(rest.data(), rest_, kept_rest);
    std::copy(scale_, scale_ + kept, scale.data());
    std::copy(rest_scale_, rest_scale_ + kept, rest_scale.data());
    std::copy(tail_, tail_ + kept, tail.data());
    if (bias.size() != 0) std::copy(bias_, bias_ + kept, bias.data());
    std::copy(blocks_, blocks_ + n_blocks(), blocks.data());
  }
  std::fill(head.data() + kept_head, head.data() + head.size(), std::uint8_t{128});
  std::fill(rest.data() + kept_rest, rest.data() + rest.size(), std::uint8_t{128});
  std::fill(scale.data() + kept, scale.data() + count, 0.0F);
  std::fill(rest_scale.data() + kept, rest_scale.data() + count, 0.0F);
  std::fill(tail.data() + kept, tail.data() + count, 0.0F);
  if (bias.size() != 0) std::fill(bias.data() + kept, bias.data() + count, 0.0F);
  const auto kept_blocks = static_cast<std::size_t>(shape_.n == 0 ? 0 : n_blocks());
  std::fill(blocks.data() + kept_blocks, blocks.data() + blocks.size(), BlockMaxima{0, 0, 0, 0});
  owned_.head = std::move(head);
  owned_.rest = std::move(rest);
  owned_.scale = std::move(scale);
  owned_.rest_scale = std::move(rest_scale);
  owned_.tail = std::move(tail);
  owned_.bias = std::move(bias);
  owned_.blocks = std::move(blocks);
  head_ = owned_.head.data();
  rest_ = owned_.rest.data();
  scale_ = owned_.scale.data();
  rest_scale_ = owned_.rest_scale.data();
  tail_ = owned_.tail.data();
  bias_ = owned_.bias.size() != 0 ? owned_.bias.data() : nullptr;
  blocks_ = owned_.blocks.data();
  capacity_ = rows;
}

void Screen::append(const Rows& rows, const double* norms, int n_jobs) {
  if (rows.dim != shape_.dim)
    throw Error(ErrorKind::kInternal, "screen: rows of another dimension");
  const std::int64_t first = shape_.n;
  if (rows.n <= first) return;
  reserve(rows.n);
  const std::int64_t first_block = first / kScreenBlock;
  const std::int64_t last_block = (rows.n + kScreenBlock - 1) / kScreenBlock;
  parallel_for(last_block - first_block, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    const std::int64_t block = first_block + task;
    encode_block(rows, norms, nullptr, std::max(first, block * kScreenBlock),
                 std::min(rows.n, (block + 1) * kScreenBlock));
  });
  shape_.n = rows.n;
  shape_.largest_norm =
      std::max(shape_.largest_norm, *std::max_element(norms + first, norms + rows.n));
}

void Screen::fill(const Rows& rows, const double* norms, const std::int64_t* order, std::int64_t n,
                  int n_jobs) {
  if (rows.dim != shape_.dim || shape_.n != 0)
    throw Error(ErrorKind::kInternal, "screen: filled twice, or with rows of another dimension");
  if (n == 0) return;
  reserve(n);
  parallel_for((n + kScreenBlock - 1) / kScreenBlock, resolve_jobs(n_jobs),
               [&](std::int64_t block, int) {
                 encode_block(rows, norms, order, block * kScreenBlock,
                              std::min(n, (block + 1) * kScreenBlock));
               });
  shape_.n = n;
  shape_.largest_norm = rows.n == 0 ? 0.0 : *std::max_element(norms, norms + rows.n);
}

struct Screen::Waiting {
  static constexpr std::int64_t kMost = 96;  // 8 blocks of 12, small enough for L2
  std::int64_t n = 0;
  std::int64_t row[kMost] = {};
  std::int64_t place[kMost] = {};
  std::vector<float> values;
  std::vector<float> rotated;
};

void Screen::encode_block(const Rows& rows, const double* norms, const std::int64_t* order,
                          std::int64_t first, std::int64_t last) {
  Waiting waiting;
  waiting.values.resize(static_cast<std::size_t>(Waiting::kMost * rows.dim));
  waiting.rotated.resize(static_cast<std::size_t>(Waiting::kMost * rotated_dim()));
  BlockMaxima& maxima = owned_.blocks[static_cast<std::size_t>(first / kScreenBlock)];
  for (std::int64_t place = first; place < last; ++place) {
    const std::int64_t row = order != nullptr ? order[place] : place;
    if (row < 0) continue;
    waiting.row[waiting.n] = row;
    waiting.place[waiting.n++] = place;
    if (waiting.n == Waiting::kMost) encode_waiting(rows, norms, waiting, maxima);
  }
  encode_waiting(rows, norms, waiting, maxima);
}

void Screen::encode_waiting(const Rows& rows, const double* norms, Waiting& waiting,
                            BlockMaxima& maxima) {
  for (std::int64_t i = 0; i < waiting.n; ++i)
    decode_row(rows, waiting.row[i], waiting.values.data() + i * rows.dim);
  rotate(waiting.values.data(), waiting.n, waiting.rotated.data());
  for (std::int64_t i = 0; i < waiting.n; ++i) {
    const double length = norms[waiting.row[i]];
    double square = length * length;
    if (shape_.metric == Metric::kL2) {
      square = 0.0;
      const float* x = waiting.values.data() + i * rows.dim;
      for (std::int64_t d = 0; d < rows.dim; ++d) {
        const double difference = static_cast<double>(x[d]) - center_[d];
        square += difference * difference;
      }
    }
    const double norm = shape_.metric == Metric::kCosine ? length : 1.0;
    encode_row(waiting.place[i], waiting.rotated.data() + i * rotated_dim(), square, norm, maxima);
  }
  waiting.n = 0;
}

void Screen::encode_row(std::int64_t r, const float* rotated, double square, double norm,
                        BlockMaxima& maxima) {
  const std::int64_t dim = rotated_dim();
  const std::int64_t head = head_dim();
  const std::int64_t first = r / kPanelRows * kPanelRows;  // row at which its panel starts
  const Encoded in_head =
      encode_part(rotated, head, owned_.head.data() + first * head + (r - first) * 4);
  const Encoded in_rest = encode_part(rotated + head, dim - head,
                                      owned_.rest.data() + first * rest_dim() + (r - first) * 4);
  const double error = in_head.error + in_rest.error;
  const double tail = in_rest.square;
  const double reach = std::sqrt(square);
  double factor = 1.0;
  if (shape_.metric == Metric::kCosine) factor = 1.0 / norm;
  if (shape_.metric == Metric::kL2) factor = 2.0;
  const double rounding = shape_.kappa * reach;
  const auto i = static_cast<std::size_t>(r);
  owned_.scale[i] = static_cast<float>(factor * in_head.step);
  owned_.rest_scale[i] = static_cast<float>(factor * in_rest.step);
  owned_.tail[i] = round_up(factor * (std::sqrt(tail) + rounding));
  if (owned_.bias.size() != 0) {
    owned_.bias[i] = static_cast<float>(-square);
    maxima.bias = std::max(maxima.bias, round_up(square));
  }
  maxima.reach = std::max(maxima.reach, round_up(factor * reach));
  maxima.error = std::max(maxima.error, round_up(factor * (std::sqrt(error) + rounding)));
}

}  // namespace vl
