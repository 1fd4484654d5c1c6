// SPDX-License-Identifier: Apache-2.0
// Choosing the levels of a row.
//
// kNone: round((x - mean) / weight).
// kAffine (LVQ): least squares in a and b and the nearest levels, in turn (Lloyd), started from the
// uniform quantizer that is best for a normal distribution; with a second level a and b span the
// row from its smallest to its largest element instead, since what the first level clips the second
// could not mend. Levels are chosen last, against the factors as float16 holds them, so storing
// factors in two bytes costs almost nothing.
// kRescaled (RaBitQ): the levels of largest cosine with the row are the rounding of t * x for some
// t; the best of a few t, then t = |y|^2 / <y, x> (y = l - middle) until the cosine stands still.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/errors.h"
#include "base/float16.h"
#include "base/threads.h"
#include "compress/levels.h"
#include "compress/levels_scratch.h"

namespace vl {
namespace {

constexpr std::int64_t kTaskRows = 512;
constexpr float kLargestHalf = 65504.0f;
constexpr int kLloydSteps = 3;

// Step of the uniform quantizer of 1..8 bits with least squared error for a normal distribution of
// deviation 1: J. Max. "Quantizing for minimum distortion", IRE Transactions on Information Theory
// 1960, table II, continued by the same equations.
constexpr float kNormalStep[9] = {0.0f,    1.5958f, 0.9957f, 0.5860f, 0.3352f,
                                  0.1881f, 0.1041f, 0.0569f, 0.0308f};

// The float16 that is stored, and the value it gives back.
std::uint16_t to_half(float value, float unit) {
  return float32_to_float16(std::clamp(value / unit, -kLargestHalf, kLargestHalf));
}
float through_half(float value, float unit) {
  return float16_to_float32(to_half(value, unit)) * unit;
}

// 1 / a, but finite, and 0 for a row without extent.
float inverse_of(float a) { return a > 1e-37f ? 1.0f / a : 0.0f; }

}  // namespace

LevelCodec::Factors LevelCodec::encode_affine(Scratch& scratch, const CenteredRow& row) const {
  const LevelKernels& kernels = level_kernels();
  const float* x = scratch.values.data();
  std::uint8_t* levels = scratch.levels.data();
  const double n = static_cast<double>(dim());
  const float range = row.high - row.low;
  float a = range / top_;
  float b = row.low;
  // Where the offset dwarfs the range, float32 sums cannot carry the fit: the range will do.
  const bool fits = std::max(std::abs(row.low), std::abs(row.high)) < 256.0f * range;
  if (calibration_.residual_bits == 0 && fits) {
    const double center = row.sum / n;
    const double deviation = std::sqrt(std::max(0.0, row.squares / n - center * center));
    const float normal = static_cast<float>(deviation) * kNormalStep[calibration_.bits];
    if (normal > 0 && normal < a) {
      a = normal;
      b = static_cast<float>(center) - middle_ * a;
    }
    for (int step = 0; step < kLloydSteps; ++step) {
      const float scale = inverse_of(a);
      const LevelSums s = kernels.quantize(x, dim(), scale, -b * scale, top_, levels);
      const auto sum = static_cast<double>(s.sum);
      const double spread = n * static_cast<double>(s.squares) - sum * sum;
      const double joint = n * static_cast<double>(s.cross) - sum * row.sum;
      if (spread <= 0 || joint <= 0) break;
      a = static_cast<float>(joint / spread);
      b = static_cast<float>((row.sum - joint / spread * sum) / n);
    }
  }
  Factors f = {through_half(a, calibration_.units[0]), 0.0f, through_half(b, calibration_.units[1]),
               0};
  f.b = f.second;
  const float scale = inverse_of(f.a);
  kernels.quantize(x, dim(), scale, -f.b * scale, top_, levels);
  return f;
}

// Steps worth trying. The best one is that of a normal distribution give or take what 384 elements
// differ from it; with more bits it moves to where the largest element just fits, and the cosine as
// a function of the step grows more jagged. Trying 3, 5 and 8 of them comes within 0.5, 0.9 and 2
// to 6 % of the squared error of a sweep (3, 4, and 5 or 6 bits).
std::vector<double> LevelCodec::first_steps(const CenteredRow& row, double deviation) const {
  const int bits = calibration_.bits;
  const double normal = deviation * static_cast<double>(kNormalStep[bits]);
  if (bits == 2) return {normal};
  if (bits == 3) return {0.9 * normal, normal, 1.1 * normal};
  if (bits == 4) return {0.86 * normal, 0.93 * normal, normal, 1.07 * normal, 1.15 * normal};
  const double full =
      std::max(std::abs(row.low), std::abs(row.high)) / static_cast<double>(middle_);
  const double least = bits == 5 ? 0.70 : bits == 6 ? 0.78 : 0.84;
  std::vector<double> steps(8);
  for (int k = 0; k < 8; ++k) {
    steps[static_cast<std::size_t>(k)] = full * (1 - (1 - least) * k / 7);
  }
  return steps;
}

LevelCodec::Factors LevelCodec::encode_rescaled(Scratch& scratch, const CenteredRow& row) const {
  const LevelKernels& kernels = level_kernels();
  const float* x = scratch.values.data();
  std::uint8_t* levels = scratch.levels.data();
  const double n = static_cast<double>(dim());
  const double middle = static_cast<double>(middle_);
  double dot = 0;
  double length = 0;
  // Squared cosine up to the row's own length, negative where there is none.
  const auto measure = [&](float scale) {
    const LevelSums s = kernels.quantize(x, dim(), scale, middle_, top_, levels);
    dot = static_cast<double>(s.cross) - middle * static_cast<double>(row.sum);
    length = static_cast<double>(s.squares) - 2 * middle * static_cast<double>(s.sum) +
             n * middle * middle;
    return dot > 0 ? dot * dot / length : -1.0;
  };
  const double norm = std::sqrt(static_cast<double>(row.squares));
  if (calibration_.bits == 1) {
    measure(1e37f);
  } else {
    float best_scale = 0;
    double best = -2;
    const auto offer = [&](double step) {
      const float scale = step > 1e-37 ? static_cast<float>(1 / step) : 0.0f;
      const double got = measure(scale);
      if (got <= best) return false;
      best = got;
      best_scale = scale;
      return true;
    };
    for (const double step : first_steps(row, norm / std::sqrt(n))) offer(step);
    measure(best_scale);
    for (int turn = 0; turn < 2 && dot > 0; ++turn) {
      if (!offer(dot / length)) break;
    }
    measure(best_scale);
  }
  const float a = dot > 0 ? static_cast<float>(norm * norm / dot) : 0.0f;
  Factors f = {through_half(a, calibration_.units[0]), 0.0f,
               through_half(static_cast<float>(norm), calibration_.units[1]), 0};
  f.b = -middle_ * f.a;
  return f;
}

void LevelCodec::encode_residual(Scratch& scratch, const Factors& f) const {
  const LevelKernels& kernels = level_kernels();
  float* rest = scratch.rest.data();
  kernels.decode(scratch.levels.data(), dim(), nullptr, nullptr, f.a, f.b, rest);
  kernels.center(scratch.values.data(), rest, nullptr, dim(), rest);
  const float scale = inverse_of(f.a) * residual_top_;
  kernels.quantize(rest, dim(), scale, 0.5f * residual_top_, residual_top_, scratch.levels.data());
}

void LevelCodec::encode_row(const float* x, std::int64_t centroid, std::uint8_t* out,
                            Scratch& scratch) const {
  const LevelKernels& kernels = level_kernels();
  const float* inverse = inverse_.empty() ? nullptr : inverse_.data();
  if (calibration_.factors == LevelFactors::kNone && inverse != nullptr && id_bytes_ == 0 &&
      calibration_.residual_bits == 0 &&
      calibration_.signs.empty()) {  // nothing a row needs to know about itself: one pass
    std::uint8_t* levels = calibration_.bits == 8 ? out : scratch.levels.data();
    kernels.quantize_dims(x, mean(0), inverse, dim(), top_, levels);
    if (calibration_.bits != 8) pack(levels, false, out, scratch);
    return;
  }
  if (!calibration_.signs.empty()) {
    std::memcpy(scratch.rest.data(), x, static_cast<std::size_t>(dim()) * sizeof(float));
    rotate(scratch.rest.data(), false);
    x = scratch.rest.data();
  }
  const CenteredRow row = kernels.center(x, mean(centroid), inverse, dim(), scratch.values.data());
  Factors f = {1.0f, 0.0f, 0.0f, 0};
  switch (calibration_.factors) {
    case LevelFactors::kNone:
      kernels.quantize(scratch.values.data(), dim(), 1.0f, 0.0f, top_, scratch.levels.data());
      break;
    case LevelFactors::kAffine: f = encode_affine(scratch, row); break;
    case LevelFactors::kRescaled: f = encode_rescaled(scratch, row); break;
  }
  pack(scratch.levels.data(), false, out, scratch);
  if (calibration_.factors != LevelFactors::kNone) {
    const std::uint16_t halves[2] = {to_half(f.a, calibration_.units[0]),
                                     to_half(f.second, calibration_.units[1])};
    std::memcpy(out + factor_offset_, halves, sizeof halves);
  }
  if (id_bytes_ > 0) {
    out[id_offset_] = static_cast<std::uint8_t>(centroid & 0xFF);
    if (id_bytes_ == 2) out[id_offset_ + 1] = static_cast<std::uint8_t>(centroid >> 8);
  }
  if (calibration_.residual_bits > 0) {
    encode_residual(scratch, f);
    pack(scratch.levels.data(), true, out, scratch);
  }
}

void LevelCodec::encode(const float* x, const std::int32_t* labels, std::int64_t n,
                        std::uint8_t* out, int n_jobs) const {
  for (std::int64_t r = 0; labels != nullptr && r < n; ++r) {
    if (labels[r] < 0 || labels[r] >= n_centroids_) {
      throw Error(ErrorKind::kParameter, "labels must name one of the centroids");
    }
  }
  const std::int64_t n_tasks = (n + kTaskRows - 1) / kTaskRows;
  parallel_for(n_tasks, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    Scratch scratch(dim());
    for (std::int64_t r = task * kTaskRows; r < std::min(n, (task + 1) * kTaskRows); ++r) {
      encode_row(x + r * dim(), labels != nullptr ? labels[r] : 0, out + r * row_bytes_, scratch);
    }
  });
}

}  // namespace vl
