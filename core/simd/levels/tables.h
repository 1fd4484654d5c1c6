// SPDX-License-Identifier: Apache-2.0
// The table each level's file defines; levels_dispatch.cc picks among them after the CPU was
// probed.
#pragma once

#include "simd/levels.h"

namespace vl {

extern const LevelKernels kLevelsScalar;
#if defined(__x86_64__)
extern const LevelKernels kLevelsAvx2;
extern const LevelKernels kLevelsAvx512;
extern const LevelKernels kLevelsVnni;
#elif defined(__aarch64__)
extern const LevelKernels kLevelsNeon;
#endif

}  // namespace vl
