// SPDX-License-Identifier: Apache-2.0
// Level kernels, NEON: the plain loops, vectorized by the compiler.
//
// Formula, accumulator and error as scalar.cc.
#include "simd/levels/plain.h"

namespace vl {

constexpr LevelKernels kLevelsNeon = level_table<Plain>(SimdLevel::kNeon);

}  // namespace vl
