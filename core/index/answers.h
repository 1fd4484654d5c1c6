// SPDX-License-Identifier: Apache-2.0
// What a user sees of a float64 score.
#pragma once

#include "base/rows.h"

namespace vl {

// A cosine is rounded to a few units of 2^-53; what is left of 1 - cos below this is that rounding,
// and copies of one vector are to be at distance 0.
inline constexpr double kCosineNoise = 0x1p-48;

// cosine: 1 - score, never below 0; else -score. Never -0. Beyond float32 it is infinite.
inline float distance_of(double score, Metric metric) {
  if (metric != Metric::kCosine) return static_cast<float>(0.0 - score);
  const double distance = 1.0 - score;
  return static_cast<float>(distance < kCosineNoise ? 0.0 : distance);
}

inline float narrow_score(double score) { return static_cast<float>(score + 0.0); }

}  // namespace vl
