// SPDX-License-Identifier: Apache-2.0
// Which CPU levels this host can run, and which one is in force. A level includes all the levels
// before it on the same architecture, so one ordered ladder is enough.
#pragma once

#include <string>
#include <vector>

namespace vl {

enum class SimdLevel : int {
  kScalar = 0,
  kNeon,        // armv8-a
  kAvx2,        // x86-64-v3: AVX2, FMA, F16C
  kAvx512,      // x86-64-v4: F, BW, DQ, VL, CD
  kAvx512Vnni,  // + VNNI (Cascade Lake, Zen 4)
  kAvx512Bf16,  // + BF16 (Cooper Lake, Zen 4)
  kAmx,         // + AMX tiles, int8 and bf16 (Sapphire Rapids); permission granted by the kernel
  kAmxModel,    // the AMX kernels on a software model of the tiles: tests only
  kCount,
};

const char* simd_level_name(SimdLevel level);

// The level of that name; throws ParameterError with the list of names when there is none.
SimdLevel simd_level_from_name(const std::string& name);

// Levels this host can execute, weakest first (asks Linux for AMX tile permission once).
const std::vector<SimdLevel>& host_simd_levels();

// The level kernels use: the host's best, or what VECTORLOOM_SIMD or set_simd_level asks for.
// VECTORLOOM_SIMD naming a level the host lacks is an error at first use, not a silent fallback.
SimdLevel active_simd_level();
void set_simd_level(SimdLevel level);

// "avx2 fma avx512f ..." for `vectorloom doctor`.
std::string cpu_feature_string();

}  // namespace vl
