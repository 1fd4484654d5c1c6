// SPDX-License-Identifier: Apache-2.0
// Ops of block.h in plain C++.
#pragma once

#include "simd/nearest/block.h"
#include "simd/panel/ops_plain.h"

namespace vl {
namespace {

struct PlainNearest : PlainInt8Ops {
  static Float max(const Float& a, const Float& b) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return r;
  }
  static float top(const Float& a) {
    float r = a.v[0];
    for (int i = 1; i < kPanelRows; ++i) r = a.v[i] > r ? a.v[i] : r;
    return r;
  }
  using Index = IntLanes;
  static Index none() { return {}; }
  static void take(const Float& value, std::int32_t number, Float& best, Float& second,
                   Index& index) {
    for (int i = 0; i < kPanelRows; ++i) {
      const bool better = value.v[i] > best.v[i];
      const float beaten = better ? best.v[i] : value.v[i];
      second.v[i] = beaten > second.v[i] ? beaten : second.v[i];
      best.v[i] = better ? value.v[i] : best.v[i];
      index.v[i] = better ? number : index.v[i];
    }
  }
  static void store_index(std::int32_t* p, const Index& index) {
    for (int i = 0; i < kPanelRows; ++i) p[i] = index.v[i];
  }
};

}  // namespace
}  // namespace vl
