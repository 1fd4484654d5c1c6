// SPDX-License-Identifier: Apache-2.0
#include "index/lists_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "index/scoring.h"
#include "simd/levels.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr double kUnit = 0x1p-24;  // unit roundoff of float32
constexpr std::int64_t kPair = 2 * kPanelRows;
constexpr std::int64_t kBatch = 96;  // rows rotated together: 8 blocks of 12, small enough for L2

// Upward rounding to float32, so that a bound stays a bound.
float round_up(double value) { return static_cast<float>(value * (1.0 + 0x1p-22)); }

std::int64_t padded(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

float largest_magnitude(const float* values, std::int64_t n) {
  constexpr int kWidth = 16;  // maxima side by side, which compilers keep in vector registers
  float most[kWidth] = {};
  std::int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    for (int j = 0; j < kWidth; ++j) most[j] = std::max(most[j], std::abs(values[i + j]));
  }
  for (; i < n; ++i) most[0] = std::max(most[0], std::abs(values[i]));
  return *std::max_element(most, most + kWidth);
}

struct Part {
  float step = 1.0F;
  double error = 0.0;   // sum (value - step (level - shift))^2
  double square = 0.0;  // sum value^2
};

// Levels of one part of a row: shift at 0, top at the largest magnitude.
Part quantize(const float* values, std::int64_t n, float shift, float top, std::uint8_t* levels) {
  Part part;
  if (n == 0) return part;
  const float largest = largest_magnitude(values, n);
  if (largest > 0.0F) part.step = largest / (top - shift);
  level_kernels().quantize(values, n, 1.0F / part.step, shift, top, levels);
  double error[4] = {};
  double square[4] = {};
  const auto add = [&](std::int64_t i, int lane) {
    const double value = values[i];
    const double rest =
        value - static_cast<double>(part.step) * (static_cast<double>(levels[i]) - shift);
    error[lane] += rest * rest;
    square[lane] += value * value;
  };
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int lane = 0; lane < 4; ++lane) add(i + lane, lane);
  }
  for (; i < n; ++i) add(i, 0);
  part.error = (error[0] + error[1]) + (error[2] + error[3]);
  part.square = (square[0] + square[1]) + (square[2] + square[3]);
  return part;
}

// Makes the part that of the row that its levels decode to; returns its squared length.
double as_coded(Part& part, std::int64_t n, float shift, const std::uint8_t* levels) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double level = static_cast<double>(levels[i]) - shift;
    sum += level * level;
  }
  part.error = 0.0;
  part.square = sum * static_cast<double>(part.step) * part.step;
  return part.square;
}

}  // namespace

// One row as it stands at its places.
struct ListCodes::Coded {
  std::vector<std::uint8_t> head, levels, rest;
  float scale = 0.0F, rest_scale = 0.0F, tail = 0.0F, bias = 0.0F;
  BlockMaxima reach{0, 0, 0, 0};
};

ListCodes::ListCodes(const ListShape& shape, const float* rotation, double rotation_error,
                     const float* center, const Rows& rows, const double* norms,
                     const std::int32_t* labels, const std::int32_t* others, std::int64_t n_labels,
                     int n_jobs)
    : shape_(shape) {
  const std::int64_t dim = shape_.dim;
  const auto count = static_cast<std::size_t>(shape_.rotated() * dim);
  owned_.rotation = AlignedBuffer<float>(count);
  std::copy(rotation, rotation + count, owned_.rotation.data());
  arrays_.rotation = owned_.rotation.data();
  if (center != nullptr) {
    owned_.center = AlignedBuffer<float>(static_cast<std::size_t>(dim));
    std::copy(center, center + dim, owned_.center.data());
    arrays_.center = owned_.center.data();
  }
  double frobenius = 0.0;
  for (std::size_t i = 0; i < count; ++i)
    frobenius += static_cast<double>(rotation[i]) * rotation[i];
  shape_.kappa = rotation_error + (static_cast<double>(dim) + 4.0) * kUnit * std::sqrt(frobenius);
  pack_rotation();
  allocate(labels, others, n_labels);

  // Places of each row, from the order of places.
  std::vector<std::int32_t> place(static_cast<std::size_t>(n_labels), -1);
  std::vector<std::int32_t> second(others != nullptr ? static_cast<std::size_t>(n_labels) : 0, -1);
  for (std::int64_t list = 0; list < shape_.n_lists; ++list) {
    for (std::int64_t at = arrays_.starts[list]; at < arrays_.starts[list + 1]; ++at) {
      const std::int32_t row = arrays_.order[at];
      if (row < 0) continue;
      const auto index = static_cast<std::size_t>(row);
      (labels[row] == list ? place : second)[index] = static_cast<std::int32_t>(at);
    }
  }
  std::vector<BlockMaxima> reach(static_cast<std::size_t>(n_labels), BlockMaxima{0, 0, 0, 0});
  parallel_for((n_labels + 1023) / 1024, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    Coded coded;
    coded.head.resize(static_cast<std::size_t>(shape_.head));
    coded.levels.resize(static_cast<std::size_t>(shape_.rest()));
    coded.rest.resize(static_cast<std::size_t>(shape_.rest_bytes()));
    std::vector<float> values(static_cast<std::size_t>(kBatch * dim));
    std::vector<float> rotated(static_cast<std::size_t>(kBatch * shape_.rotated()));
    const std::int64_t last = std::min(n_labels, (task + 1) * 1024);
    for (std::int64_t first = task * 1024; first < last; first += kBatch) {
      const std::int64_t n = std::min(kBatch, last - first);
      for (std::int64_t i = 0; i < n; ++i) decode_row(rows, first + i, values.data() + i * dim);
      rotate(values.data(), n, rotated.data());
      for (std::int64_t i = 0; i < n; ++i) {
        const auto row = static_cast<std::size_t>(first + i);
        if (place[row] < 0) continue;
        double square = norms[row] * norms[row];
        if (center != nullptr) {
          square = 0.0;
          for (std::int64_t d = 0; d < dim; ++d) {
            const double difference =
                static_cast<double>(values[static_cast<std::size_t>(i * dim + d)]) - center[d];
            square += difference * difference;
          }
        }
        encode(rotated.data() + i * shape_.rotated(), square,
               shape_.metric == Metric::kCosine ? norms[row] : 1.0, coded);
        put(place[row], coded);
        if (others != nullptr && second[row] >= 0) put(second[row], coded);
        reach[row] = coded.reach;
      }
    }
  });
  for (std::int64_t list = 0; list < shape_.n_lists; ++list) {
    BlockMaxima& most = owned_.maxima[static_cast<std::size_t>(list)];
    most = {0, 0, 0, 0};
    for (std::int64_t at = arrays_.starts[list]; at < arrays_.starts[list + 1]; ++at) {
      if (arrays_.order[at] < 0) continue;
      const BlockMaxima& one = reach[static_cast<std::size_t>(arrays_.order[at])];
      most.reach = std::max(most.reach, one.reach);
      most.error = std::max(most.error, one.error);
      most.bias = std::max(most.bias, one.bias);
    }
  }
}

ListCodes::ListCodes(const ListShape& shape, const ListArrays& arrays)
    : shape_(shape), arrays_(arrays) {
  pack_rotation();
}

// Panels of P for product_f32: outputs side by side, one input dimension a group.
void ListCodes::pack_rotation() {
  const std::int64_t inputs = padded(shape_.dim, kGroupStep);
  const std::int64_t outputs = padded(shape_.rotated(), kPair);
  rotation_panels_ = AlignedBuffer<float>(static_cast<std::size_t>(outputs * inputs));
  std::fill_n(rotation_panels_.data(), rotation_panels_.size(), 0.0F);
  for (std::int64_t j = 0; j < shape_.rotated(); ++j) {
    float* panel =
        rotation_panels_.data() + (j / kPanelRows) * inputs * kPanelRows + j % kPanelRows;
    for (std::int64_t g = 0; g < shape_.dim; ++g)
      panel[g * kPanelRows] = arrays_.rotation[j * shape_.dim + g];
  }
}

void ListCodes::rotate(const float* values, std::int64_t m, float* out) const {
  const std::int64_t inputs = padded(shape_.dim, kGroupStep);
  const std::int64_t outputs = padded(shape_.rotated(), kPair);
  AlignedBuffer<float> centred(static_cast<std::size_t>(std::max<std::int64_t>(m, 1) * inputs));
  std::fill_n(centred.data(), centred.size(), 0.0F);
  for (std::int64_t i = 0; i < m; ++i) {
    const float* from = values + i * shape_.dim;
    float* to = centred.data() + i * inputs;
    for (std::int64_t d = 0; d < shape_.dim; ++d)
      to[d] = arrays_.center != nullptr ? from[d] - arrays_.center[d] : from[d];
  }
  const bool whole = outputs == shape_.rotated();
  AlignedBuffer<float> wide(whole ? 0 : static_cast<std::size_t>(m * outputs));
  float* to = whole ? out : wide.data();
  panel_kernels().product_f32(centred.data(), inputs * 4, static_cast<int>(m),
                              rotation_panels_.data(), static_cast<int>(outputs / kPair),
                              static_cast<int>(inputs), to, outputs);
  for (std::int64_t i = 0; !whole && i < m; ++i)
    std::copy_n(wide.data() + i * outputs, shape_.rotated(), out + i * shape_.rotated());
}

std::size_t ListCodes::bytes() const {
  const auto places = static_cast<std::size_t>(shape_.places);
  const auto lists = static_cast<std::size_t>(shape_.n_lists);
  const std::size_t a_place = static_cast<std::size_t>(shape_.head + shape_.rest_bytes()) + 16 +
                              (arrays_.other != nullptr ? 4 : 0) +
                              (arrays_.bias != nullptr ? 4 : 0);
  const auto square = static_cast<std::size_t>(shape_.rotated() * shape_.dim) * 4;
  return places * a_place + lists * (sizeof(BlockMaxima) + 8) + square;
}

// Places of each list, rows in their order: first those whose nearest list it is.
void ListCodes::allocate(const std::int32_t* labels, const std::int32_t* others, std::int64_t n) {
  const auto lists = static_cast<std::size_t>(shape_.n_lists);
  owned_.starts = AlignedBuffer<std::int64_t>(lists + 1);
  std::vector<std::int64_t> counts(lists, 0);
  for (std::int64_t r = 0; r < n; ++r) {
    if (labels[r] < 0) continue;
    ++counts[static_cast<std::size_t>(labels[r])];
    if (others != nullptr && others[r] >= 0) ++counts[static_cast<std::size_t>(others[r])];
  }
  std::vector<std::int64_t> next(lists);
  std::int64_t place = 0;
  for (std::size_t list = 0; list < lists; ++list) {
    owned_.starts[list] = next[list] = place;
    place += padded(counts[list], kPair);
  }
  owned_.starts[lists] = place;
  if (place > INT32_MAX) {
    throw Error(ErrorKind::kParameter, "lists: more than 2^31 places; split the index");
  }
  shape_.places = place;
  const auto places = static_cast<std::size_t>(place);
  owned_.order = AlignedBuffer<std::int32_t>(places);
  std::fill_n(owned_.order.data(), places, -1);
  if (others != nullptr) {
    owned_.other = AlignedBuffer<std::int32_t>(places);
    std::fill_n(owned_.other.data(), places, -1);
  }
  const auto stand = [&](std::int32_t list, std::int32_t row, std::int32_t elsewhere) {
    const auto at = static_cast<std::size_t>(next[static_cast<std::size_t>(list)]++);
    owned_.order[at] = row;
    if (others != nullptr) owned_.other[at] = elsewhere;
  };
  for (std::int64_t r = 0; r < n; ++r) {
    if (labels[r] < 0) continue;
    const std::int32_t second = others != nullptr ? others[r] : -1;
    stand(labels[r], static_cast<std::int32_t>(r), second);
  }
  for (std::int64_t r = 0; others != nullptr && r < n; ++r) {
    if (labels[r] >= 0 && others[r] >= 0)
      stand(others[r], static_cast<std::int32_t>(r), -2 - labels[r]);
  }
  owned_.head = AlignedBuffer<std::uint8_t>(places * static_cast<std::size_t>(shape_.head));
  std::fill_n(owned_.head.data(), owned_.head.size(), std::uint8_t{128});
  owned_.rest = AlignedBuffer<std::uint8_t>(places * static_cast<std::size_t>(shape_.rest_bytes()));
  std::fill_n(owned_.rest.data(), owned_.rest.size(), std::uint8_t{0});
  for (AlignedBuffer<float>* one : {&owned_.scale, &owned_.rest_scale, &owned_.tail}) {
    *one = AlignedBuffer<float>(places);
    std::fill_n(one->data(), places, 0.0F);
  }
  if (shape_.metric == Metric::kL2) {
    owned_.bias = AlignedBuffer<float>(places);
    std::fill_n(owned_.bias.data(), places, 0.0F);
    arrays_.bias = owned_.bias.data();
  }
  owned_.maxima = AlignedBuffer<BlockMaxima>(lists);
  arrays_.order = owned_.order.data();
  arrays_.other = others != nullptr ? owned_.other.data() : nullptr;
  arrays_.starts = owned_.starts.data();
  arrays_.head = owned_.head.data();
  arrays_.rest = owned_.rest.data();
  arrays_.scale = owned_.scale.data();
  arrays_.rest_scale = owned_.rest_scale.data();
  arrays_.tail = owned_.tail.data();
  arrays_.maxima = owned_.maxima.data();
}

void ListCodes::encode(float* rotated, double square, double norm, Coded& out) const {
  Part head = quantize(rotated, shape_.head, 128.0F, 255.0F, out.head.data());
  const float top = shape_.rest_bits == 8 ? 255.0F : 15.0F;
  Part rest = quantize(rotated + shape_.head, shape_.rest(), shift(), top, out.levels.data());
  if (shape_.rest() > 0) {
    level_kernels().pack[plane_kind(shape_.rest_bits)](out.levels.data(), shape_.rest(),
                                                       out.rest.data());
  }
  if (shape_.final) {
    square = as_coded(head, shape_.head, 128.0F, out.head.data()) +
             as_coded(rest, shape_.rest(), shift(), out.levels.data());
    norm = square > 0.0 ? std::sqrt(square) : 1.0;
  }
  double factor = 1.0;
  if (shape_.metric == Metric::kCosine) factor = 1.0 / norm;
  if (shape_.metric == Metric::kL2) factor = 2.0;
  const double length = std::sqrt(square);
  const double rounding = shape_.final ? 0.0 : shape_.kappa * length;
  out.scale = static_cast<float>(factor * head.step);
  out.rest_scale = static_cast<float>(factor * rest.step);
  out.tail = shape_.rest() > 0 ? round_up(factor * (std::sqrt(rest.square) + rounding)) : 0.0F;
  out.reach.reach = round_up(factor * length);
  out.reach.error = round_up(factor * (std::sqrt(head.error + rest.error) + rounding));
  if (shape_.metric == Metric::kL2) {
    // |y_h|^2 with what rotating may have changed: completed values subtract the rest again.
    const double tail = 0.5 * static_cast<double>(out.tail);
    out.bias = static_cast<float>(tail * tail - square);
    out.reach.bias = round_up(square);
  }
}

void ListCodes::decode(std::int64_t place, float* y) const {
  const float share = shape_.metric == Metric::kL2 ? 0.5F : 1.0F;
  const std::int64_t lane = place % kPanelRows;
  const std::uint8_t* panel = arrays_.head + (place - lane) * shape_.head + lane * kGroupBytes;
  const float step = share * arrays_.scale[place];
  for (std::int64_t j = 0; j < shape_.head; ++j) {
    const int level = panel[j / kGroupBytes * 64 + j % kGroupBytes];
    y[j] = step * static_cast<float>(level - 128);
  }
  if (shape_.rest() == 0) return;
  thread_local std::vector<std::uint8_t> levels;
  levels.resize(static_cast<std::size_t>(shape_.rest()));
  level_kernels().unpack[plane_kind(shape_.rest_bits)](arrays_.rest + place * shape_.rest_bytes(),
                                                       shape_.rest(), levels.data());
  const float rest_step = share * arrays_.rest_scale[place];
  for (std::int64_t j = 0; j < shape_.rest(); ++j) {
    y[shape_.head + j] =
        rest_step * (static_cast<float>(levels[static_cast<std::size_t>(j)]) - shift());
  }
}

void ListCodes::put(std::int64_t place, const Coded& coded) {
  const std::int64_t lane = place % kPanelRows;
  std::uint8_t* panel = owned_.head.data() + (place - lane) * shape_.head + lane * kGroupBytes;
  for (std::int64_t g = 0; g < shape_.head / kGroupBytes; ++g)
    std::memcpy(panel + 64 * g, coded.head.data() + g * kGroupBytes, kGroupBytes);
  if (!coded.rest.empty())
    std::memcpy(owned_.rest.data() + place * shape_.rest_bytes(), coded.rest.data(),
                coded.rest.size());
  const auto at = static_cast<std::size_t>(place);
  owned_.scale[at] = coded.scale;
  owned_.rest_scale[at] = coded.rest_scale;
  owned_.tail[at] = coded.tail;
  if (owned_.bias.size() != 0) owned_.bias[at] = coded.bias;
}

}  // namespace vl
