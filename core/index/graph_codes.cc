// SPDX-License-Identifier: Apache-2.0
#include "index/graph_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/threads.h"
#include "simd/levels.h"
#include "simd/pair.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kPair = kPanelsPerCall * kPanelRows;
constexpr float kToWhole = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
constexpr std::int64_t kFactorBytes = 8;
// The step of even levels that loses least of a normal variable, in standard deviations.
float level_step(int bits) { return bits == 4 ? 0.335F : 0.0308F; }
float top_level(int bits) { return static_cast<float>((1 << bits) - 1); }

std::int64_t up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

struct Int8Row {
  float step, square;
  std::int32_t sum;
};

Int8Row to_int8(const float* y, std::int64_t m, int top, std::int8_t* codes) {
  float largest = 0.0f;
  double square = 0.0;
  for (std::int64_t i = 0; i < m; ++i) largest = std::max(largest, std::fabs(y[i]));
  for (std::int64_t i = 0; i < m; ++i) {
    square += static_cast<double>(y[i]) * static_cast<double>(y[i]);
  }
  const float step = std::max(largest, 1e-30f) * 1.000001f / static_cast<float>(top);
  const float inverse = 1.0f / step;
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    const float whole = (y[i] * inverse + kToWhole) - kToWhole;
    const auto code = static_cast<std::int32_t>(whole);
    codes[i] = static_cast<std::int8_t>(code);
    sum += code;
  }
  return {step, static_cast<float>(square), sum};
}

// Row r of a pair of panels gets a node's codes, offset to unsigned.
void to_panel(const std::int8_t* codes, int groups, std::int64_t r, std::uint8_t* pair) {
  std::uint8_t* panel =
      pair + r / kPanelRows * kPanelRows * kGroupBytes * groups + r % kPanelRows * kGroupBytes;
  for (int g = 0; g < groups; ++g) {
    std::uint32_t group;
    std::memcpy(&group, codes + g * kGroupBytes, sizeof group);
    group ^= 0x80808080u;
    std::memcpy(panel + static_cast<std::int64_t>(g) * kPanelRows * kGroupBytes, &group,
                sizeof group);
  }
}

void reserve(std::int64_t n, const std::vector<std::int64_t>& list_first, std::int64_t size,
             Scratch& scratch, BlockCodes& block, HeadCodes& head) {
  block.n = n;
  block.groups = static_cast<int>(up(up(size, kGroupBytes) / kGroupBytes, kGroupStep));
  block.row_bytes = static_cast<std::int64_t>(block.groups) * kGroupBytes;
  const auto padded = static_cast<std::size_t>(n + 2 * kQueryPad);
  block.rows =
      ScratchBuffer<std::int8_t>(padded * static_cast<std::size_t>(block.row_bytes), scratch);
  std::memset(block.rows.data(), 0, block.rows.size());
  block.first_pair.assign(1, 0);
  for (std::size_t l = 0; l + 1 < list_first.size(); ++l) {
    const std::int64_t rows_here = list_first[l + 1] - list_first[l];
    block.first_pair.push_back(block.first_pair.back() + (rows_here + kPair - 1) / kPair);
  }
  const auto slots = static_cast<std::size_t>(block.first_pair.back() * kPair);
  block.panels =
      ScratchBuffer<std::uint8_t>(slots * static_cast<std::size_t>(block.row_bytes), scratch);
  std::memset(block.panels.data(), 0x80, block.panels.size());
  block.slot_step.assign(slots, 0.0f);
  block.slot_half.assign(slots, -std::numeric_limits<float>::infinity());
  block.step.assign(padded, 1.0f);
  block.inverse.assign(padded, 1.0f);
  block.square.assign(padded, 0.0f);
  block.start.assign(padded, 0);
  Table<std::uint8_t> rows(n, HeadCodes::stride_of(head.dim, head.bits));
  if (n > 0) std::memset(rows.of(0), 0, rows.bytes());
  head.rows = std::move(rows);
}

// Node p, at place `at` of a list whose panels begin at `first_pair`.
void encode_node(const float* y, std::int64_t size, std::int64_t p, std::int64_t first_pair,
                 std::int64_t at, std::uint8_t* levels, BlockCodes& block, HeadCodes& head) {
  std::int8_t* codes = block.rows.data() + p * block.row_bytes;
  const Int8Row row = to_int8(y, size, panel_kernels().int8_query_max, codes);
  const auto node = static_cast<std::size_t>(p);
  block.step[node] = row.step;
  block.inverse[node] = 1.0f / row.step;
  block.square[node] = row.square;
  block.start[node] = -128 * row.sum;
  const auto slot = static_cast<std::size_t>(first_pair * kPair + at);
  block.slot_step[slot] = row.step;
  block.slot_half[slot] = -0.5f * row.square;
  to_panel(codes, block.groups, at % kPair,
           block.panels.data() + (first_pair + at / kPair) * kPair * block.row_bytes);
  head.encode(y, row.square, levels, head.rows.of(p));
}

}  // namespace

Space::Space(const float* matrix, std::int64_t m, std::int64_t dim, const float* origin)
    : m_(m),
      dim_(dim),
      turn_(matrix, m, dim, origin),
      origin_(origin, origin + dim),
      offset_(static_cast<std::size_t>(m)) {
  for (std::int64_t j = 0; j < m; ++j) {
    double sum = 0.0;
    for (std::int64_t d = 0; d < dim; ++d) {
      sum += static_cast<double>(matrix[j * dim + d]) * static_cast<double>(origin[d]);
    }
    offset_[static_cast<std::size_t>(j)] = static_cast<float>(sum);
  }
  if (dim <= kMostFloats) matrix_.assign(matrix, matrix + m * dim);
}

void Space::apply(const float* x, int n, std::int64_t wanted, Turn::Scratch& scratch) const {
  if (matrix_.empty()) turn_.apply(x, n, wanted, scratch);
  for (int i = 0; i < n; ++i) {
    float* y = scratch.out.data() + i * turn_.stride();
    for (std::int64_t j = 0; !matrix_.empty() && j < wanted; ++j) {
      float sum = 0.0F;
      for (std::int64_t d = 0; d < dim_; ++d) {
        sum += matrix_[static_cast<std::size_t>(j * dim_ + d)] * x[i * dim_ + d];
      }
      y[j] = sum;
    }
    for (std::int64_t j = 0; j < wanted; ++j) y[j] -= offset_[static_cast<std::size_t>(j)];
  }
}

std::int64_t HeadCodes::stride_of(std::int64_t dim, int bits) {
  return up(dim * bits / 8 + (bits == 32 ? 4 : kFactorBytes), kAlignment);
}

// x ~ a (l - middle), a by least squares for the levels chosen.
void HeadCodes::encode(const float* y, float square, std::uint8_t* levels,
                       std::uint8_t* out) const {
  float factors[2] = {0.0F, -0.5F * square};
  if (bits == 32) {
    std::memset(out, 0, static_cast<std::size_t>(stride()));
    std::memcpy(out, y, static_cast<std::size_t>(dim) * 4);
    std::memcpy(out + stride() - 4, factors + 1, 4);
    return;
  }
  const LevelKernels& kernels = level_kernels();
  const float middle = 0.5F * top_level(bits);
  double energy = 0.0;
  for (std::int64_t i = 0; i < dim; ++i) {
    energy += static_cast<double>(y[i]) * static_cast<double>(y[i]);
  }
  const auto spread = static_cast<float>(std::sqrt(energy / static_cast<double>(dim)));
  const float scale = spread > 1e-30F ? 1.0F / (level_step(bits) * spread) : 0.0F;
  kernels.quantize(y, dim, scale, middle, top_level(bits), levels);
  double cross = 0.0;
  double squares = 0.0;
  for (std::int64_t i = 0; i < dim; ++i) {
    const double l = static_cast<double>(levels[i]) - static_cast<double>(middle);
    cross += l * static_cast<double>(y[i]);
    squares += l * l;
  }
  factors[0] = static_cast<float>(squares > 0.0 ? cross / squares : 0.0);
  kernels.pack[plane_kind(bits)](levels, dim, out);
  std::memcpy(out + this->factors(), factors, sizeof factors);
}

HeadQuery HeadCodes::query() const {
  HeadQuery query;
  if (bits == 32) {
    query.values.assign(static_cast<std::size_t>(stride() / 4), 0.0F);
    query.values.back() = 1.0F;
  } else {
    query.digits.resize(static_cast<std::size_t>(dim));
    query.arranged =
        AlignedBuffer<std::int8_t>(static_cast<std::size_t>(plane_query_size(bits, dim)));
  }
  return query;
}

void HeadCodes::prepare(const float* y, HeadQuery& query) const {
  if (bits == 32) {
    std::copy_n(y, dim, query.values.begin());
    return;
  }
  float largest = 1e-30F;
  for (std::int64_t i = 0; i < dim; ++i) largest = std::max(largest, std::fabs(y[i]));
  const float inverse = 127.0F / largest;
  for (std::int64_t i = 0; i < dim; ++i) {
    query.digits[static_cast<std::size_t>(i)] =
        static_cast<std::int8_t>(std::lrintf(y[i] * inverse));
  }
  prepare_digits(query.digits.data(), largest / 127.0F, query);
}

void HeadCodes::prepare_digits(const std::int8_t* digits, float step, HeadQuery& query) const {
  if (bits == 32) {
    for (std::int64_t i = 0; i < dim; ++i) {
      query.values[static_cast<std::size_t>(i)] = static_cast<float>(digits[i]) * step;
    }
    return;
  }
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < dim; ++i) sum += digits[i];
  query.step = step;
  query.middle = 0.5F * top_level(bits) * static_cast<float>(sum);
  arrange_query(bits, dim, digits, query.arranged.data());
}

void HeadCodes::score(const std::int64_t* nodes, std::int64_t n, const std::uint8_t* base,
                      HeadQuery& query, float* values) const {
  if (bits == 32) {
    pair_kernels().ip[static_cast<int>(Kind::kFloat32)](query.values.data(), base, nodes, n,
                                                        stride() / 4, values);
    return;
  }
  query.dots.resize(static_cast<std::size_t>(n));
  level_kernels().dot[plane_kind(bits)][0](base, stride(), nodes, n, dim, query.arranged.data(),
                                           query.dots.data());
  const std::uint8_t* at = base + factors();
  for (std::int64_t j = 0; j < n; ++j) {
    float f[2];
    std::memcpy(f, at + (nodes == nullptr ? j : nodes[j]) * stride(), sizeof f);
    const auto dot = static_cast<float>(query.dots[static_cast<std::size_t>(j)]);
    values[j] = f[0] * query.step * (dot - query.middle) + f[1];
  }
}

void encode_graph_rows(const float* points, std::int64_t dim, const Space& space,
                       const Table<std::int32_t>& row_of,
                       const std::vector<std::int64_t>& list_first, int n_threads, Scratch& scratch,
                       BlockCodes& block, HeadCodes& head) {
  reserve(row_of.n(), list_first, space.size(), scratch, block, head);
  parallel_for(
      static_cast<std::int64_t>(list_first.size()) - 1, n_threads, [&](std::int64_t task, int) {
        const auto l = static_cast<std::size_t>(task);
        Turn::Scratch turned = space.scratch();
        std::vector<float> gathered(static_cast<std::size_t>(kTurnRows * dim));
        std::vector<std::uint8_t> levels(static_cast<std::size_t>(head.dim));
        const std::int64_t last = list_first[l + 1];
        for (std::int64_t p = list_first[l]; p < last; p += kTurnRows) {
          const auto count = static_cast<int>(std::min<std::int64_t>(kTurnRows, last - p));
          for (int i = 0; i < count; ++i) {
            std::copy_n(points + *row_of.of(p + i) * dim, dim, gathered.data() + i * dim);
          }
          space.apply(gathered.data(), count, space.size(), turned);
          for (int i = 0; i < count; ++i) {
            encode_node(turned.out.data() + i * space.stride(), space.size(), p + i,
                        block.first_pair[l], p + i - list_first[l], levels.data(), block, head);
          }
        }
      });
}

}  // namespace vl
