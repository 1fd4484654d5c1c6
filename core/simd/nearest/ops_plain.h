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
};

}  // namespace
}  // namespace vl
