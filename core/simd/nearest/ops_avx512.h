// SPDX-License-Identifier: Apache-2.0
// What block.h needs beyond the panel Ops on 512-bit registers.
#pragma once

#include "simd/nearest/block.h"
#include "simd/panel/ops_avx512.h"

namespace vl {
namespace {

template <class Ops>
struct Nearest512 : Ops {
  static __m512 max(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
  static float top(__m512 a) { return _mm512_reduce_max_ps(a); }
};

}  // namespace
}  // namespace vl
