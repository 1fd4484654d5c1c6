// SPDX-License-Identifier: Apache-2.0
// Which of many running sums are worth a look: sums/README.md.
#pragma once

#include <cstdint>

#include "simd/cpu.h"

namespace vl {

inline constexpr std::int64_t kSumsGroup = 64;  // sums that share a maximum

// Writes the places i in [0, n) with sums[i] >= least, ascending; returns how many. `places` has
// room for n, which is a multiple of 64 and at most 65536.
using PlacesFrom = std::int64_t (*)(const std::uint16_t* sums, std::int64_t n, std::uint16_t least,
                                    std::uint16_t* places);

// maxima[g] = the largest of sums[64 g .. 64 g + 63], for n / 64 groups.
using GroupMaxima = void (*)(const std::uint16_t* sums, std::int64_t n, std::uint16_t* maxima);

struct SumsKernels {
  SimdLevel level;
  PlacesFrom places;
  GroupMaxima maxima;
};

// The best kernels at or below `level`.
const SumsKernels& sums_kernels(SimdLevel level);
inline const SumsKernels& sums_kernels() { return sums_kernels(active_simd_level()); }

}  // namespace vl
