// SPDX-License-Identifier: Apache-2.0
// Layout of a row, packing, decoding. Choosing levels is levels_encode.cc, scoring levels_score.cc.
//
// A row: planes of the first level (widest first) | float16 factors | centroid (0, 1 or 2 bytes) |
// planes of the second level. So the first level can be scanned alone.
#include "compress/levels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "base/errors.h"
#include "base/float16.h"
#include "base/threads.h"
#include "compress/levels_scratch.h"

namespace vl {
namespace {

constexpr std::int64_t kTaskRows = 512;

// Eight bytes a step: out = (in >> shift) & mask, and out |= in << shift. Neither may carry a bit
// into the next byte, which the mask, and levels that fit their plane, see to.
constexpr std::uint64_t kEach = 0x0101010101010101u;
template <class Step>
void each_eight(const std::uint8_t* in, std::int64_t n, std::uint8_t* out, const Step& step) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t a, b;
    std::memcpy(&a, in + i, 8);
    std::memcpy(&b, out + i, 8);
    b = step(a, b);
    std::memcpy(out + i, &b, 8);
  }
  for (; i < n; ++i) {
    out[i] = static_cast<std::uint8_t>(step(std::uint64_t{in[i]}, std::uint64_t{out[i]}));
  }
}

void check(bool ok, ErrorKind kind, const std::string& message) {
  if (!ok) throw Error(kind, message);
}

void check_calibration(const LevelCalibration& c) {
  check(c.dim >= 1 && c.dim <= kLevelsMaxDim, ErrorKind::kCapacity,
        "codes of levels take 1 to 65536 dimensions; got " + std::to_string(c.dim) +
            ". Reduce the dimension first.");
  check(c.bits >= 1 && c.bits <= 8, ErrorKind::kParameter,
        "bits must be 1 to 8; got " + std::to_string(c.bits));
  check(c.residual_bits >= 0 && c.residual_bits <= 8, ErrorKind::kParameter,
        "residual bits must be 0 to 8; got " + std::to_string(c.residual_bits));
  check(!c.means.empty() && c.means.size() % static_cast<std::size_t>(c.dim) == 0,
        ErrorKind::kShape, "means must have dim columns and at least one row");
  check(c.means.size() / static_cast<std::size_t>(c.dim) <= 65536, ErrorKind::kCapacity,
        "a row names its centroid in at most two bytes: at most 65536 centroids");
  check(c.weight.empty() || c.weight.size() == static_cast<std::size_t>(c.dim), ErrorKind::kShape,
        "weight must have dim elements");
  check(c.signs.size() % static_cast<std::size_t>(c.dim) == 0, ErrorKind::kShape,
        "signs must have dim columns");
  check(c.units[0] > 0 && c.units[1] > 0, ErrorKind::kParameter, "units must be positive");
}

}  // namespace

LevelCodec::LevelCodec(LevelCalibration calibration) : calibration_(std::move(calibration)) {
  check_calibration(calibration_);
  const std::int64_t dim = calibration_.dim;
  n_centroids_ = static_cast<std::int64_t>(calibration_.means.size()) / dim;
  top_ = static_cast<float>((1 << calibration_.bits) - 1);
  middle_ = 0.5f * top_;
  residual_top_ = static_cast<float>((1 << calibration_.residual_bits) - 1);
  std::int64_t at = 0;
  const auto add_planes = [&](int bits, bool residual, float scale) {
    for (int width = 8; width >= 1; width /= 2) {
      if ((bits & width) == 0) continue;
      const int shift = bits & (width - 1);
      planes_.push_back({width, shift, residual, scale * static_cast<float>(1 << shift), at});
      at += plane_bytes(width, dim);
    }
  };
  add_planes(calibration_.bits, false, 1.0f);
  factor_offset_ = at;
  if (calibration_.factors != LevelFactors::kNone) at += 4;
  id_offset_ = at;
  id_bytes_ = n_centroids_ == 1 ? 0 : n_centroids_ <= 256 ? 1 : 2;
  at += id_bytes_;
  first_bytes_ = at;
  if (calibration_.residual_bits > 0) {
    add_planes(calibration_.residual_bits, true, 1.0f / residual_top_);
  }
  row_bytes_ = at;
  for (std::int64_t c = 0; c < n_centroids_; ++c) {
    rotate(calibration_.means.data() + c * dim, false);
  }
  for (const float w : calibration_.weight) inverse_.push_back(w > 1e-37f ? 1.0f / w : 0.0f);
}

void LevelCodec::rotate(float* x, bool inverse) const {
  if (calibration_.signs.empty()) return;
  const auto rounds =
      static_cast<int>(static_cast<std::int64_t>(calibration_.signs.size()) / dim());
  level_kernels().rotate(x, dim(), calibration_.signs.data(), rounds, inverse);
}

LevelCodec::Factors LevelCodec::factors_of(const std::uint8_t* row) const {
  Factors f = {1.0f, 0.0f, 0.0f, 0};
  if (calibration_.factors != LevelFactors::kNone) {
    std::uint16_t halves[2];
    std::memcpy(halves, row + factor_offset_, sizeof halves);
    f.a = float16_to_float32(halves[0]) * calibration_.units[0];
    f.second = float16_to_float32(halves[1]) * calibration_.units[1];
    f.b = calibration_.factors == LevelFactors::kAffine ? f.second : -middle_ * f.a;
  }
  if (id_bytes_ > 0) f.centroid = static_cast<std::int64_t>(centroid_of(row + id_offset_));
  return f;
}

void LevelCodec::pack(const std::uint8_t* levels, bool residual, std::uint8_t* out,
                      Scratch& scratch) const {
  const LevelKernels& kernels = level_kernels();
  for (const LevelPlane& plane : planes_) {
    if (plane.residual != residual) continue;
    const std::uint8_t* part = levels;
    const int bits = residual ? calibration_.residual_bits : calibration_.bits;
    if (plane.bits != bits) {
      const std::uint64_t mask = kEach * ((std::uint64_t{1} << plane.bits) - 1);
      const int shift = plane.shift;
      each_eight(levels, dim(), scratch.part.data(),
                 [=](std::uint64_t in, std::uint64_t) { return (in >> shift) & mask; });
      part = scratch.part.data();
    }
    kernels.pack[plane_kind(plane.bits)](part, dim(), out + plane.offset);
  }
}

void LevelCodec::unpack(const std::uint8_t* row, bool residual, std::uint8_t* levels,
                        Scratch& scratch) const {
  const LevelKernels& kernels = level_kernels();
  bool first = true;
  for (const LevelPlane& plane : planes_) {
    if (plane.residual != residual) continue;
    if (first && plane.shift == 0) {
      kernels.unpack[plane_kind(plane.bits)](row + plane.offset, dim(), levels);
    } else {
      std::uint8_t* part = scratch.part.data();
      kernels.unpack[plane_kind(plane.bits)](row + plane.offset, dim(), part);
      const std::uint64_t keep = first ? 0 : ~std::uint64_t{0};
      const int shift = plane.shift;
      each_eight(part, dim(), levels,
                 [=](std::uint64_t in, std::uint64_t out) { return (out & keep) | (in << shift); });
    }
    first = false;
  }
}

void LevelCodec::decode_row(const std::uint8_t* row, bool shrink, float* out,
                            Scratch& scratch) const {
  const LevelKernels& kernels = level_kernels();
  Factors f = factors_of(row);
  unpack(row, false, scratch.levels.data(), scratch);
  if (shrink && calibration_.factors == LevelFactors::kRescaled) {
    // a makes inner products right on average; the nearest point is shorter by the squared cosine.
    const float length = f.a * level_length(scratch);
    const float cosine = length > 0 ? f.second / length : 0.0f;
    f.a *= cosine * cosine;
    f.b = -middle_ * f.a;
  }
  kernels.decode(scratch.levels.data(), dim(), mean(f.centroid), weight(), f.a, f.b, out);
  if (calibration_.residual_bits == 0) return;
  unpack(row, true, scratch.levels.data(), scratch);
  kernels.decode(scratch.levels.data(), dim(), out, weight(), f.a / residual_top_, -0.5f * f.a,
                 out);
}

// |l - middle| of the levels in the scratch.
float LevelCodec::level_length(Scratch& scratch) const {
  const LevelKernels& kernels = level_kernels();
  float* values = scratch.rest.data();
  kernels.decode(scratch.levels.data(), dim(), nullptr, nullptr, 1.0f, -middle_, values);
  return std::sqrt(kernels.center(values, nullptr, nullptr, dim(), values).squares);
}

void LevelCodec::decode(const std::uint8_t* codes, std::int64_t n, float* out, int n_jobs) const {
  const std::int64_t n_tasks = (n + kTaskRows - 1) / kTaskRows;
  parallel_for(n_tasks, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    Scratch scratch(dim());
    for (std::int64_t r = task * kTaskRows; r < std::min(n, (task + 1) * kTaskRows); ++r) {
      decode_row(codes + r * row_bytes_, true, out + r * dim(), scratch);
      rotate(out + r * dim(), true);
    }
  });
}

float LevelCodec::norm_of(const std::uint8_t* row, Scratch& scratch) const {
  const LevelKernels& kernels = level_kernels();
  float* values = scratch.values.data();
  decode_row(row, false, values, scratch);
  const float decoded = kernels.center(values, nullptr, nullptr, dim(), values).squares;
  if (calibration_.factors != LevelFactors::kRescaled) return decoded;
  // The centred part of the decoded row is longer than the row it stands for by 1 / cos^2; the
  // stored length replaces it.
  const Factors f = factors_of(row);
  kernels.decode(scratch.levels.data(), dim(), nullptr, weight(), f.a, f.b, values);
  const float part = kernels.center(values, nullptr, nullptr, dim(), values).squares;
  return std::max(0.0f, decoded - part + f.second * f.second);
}

void LevelCodec::row_factors(const std::uint8_t* codes, std::int64_t n, float* out) const {
  Scratch scratch(dim());
  for (std::int64_t r = 0; r < n; ++r) {
    const std::uint8_t* row = codes + r * row_bytes_;
    const Factors f = factors_of(row);
    unpack(row, false, scratch.levels.data(), scratch);
    out[3 * r] = f.a;
    out[3 * r + 1] = f.second;
    out[3 * r + 2] = level_length(scratch);
  }
}

}  // namespace vl
