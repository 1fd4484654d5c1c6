// SPDX-License-Identifier: Apache-2.0
#include "simd/sums.h"

namespace vl {
namespace {

std::int64_t places_from(const std::uint16_t* sums, std::int64_t n, std::uint16_t least,
                         std::uint16_t* places) {
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (sums[i] >= least) places[found++] = static_cast<std::uint16_t>(i);
  }
  return found;
}

void group_maxima(const std::uint16_t* sums, std::int64_t n, std::uint16_t* maxima) {
  for (std::int64_t g = 0; g < n / kSumsGroup; ++g) {
    std::uint16_t largest = 0;
    for (std::int64_t i = 0; i < kSumsGroup; ++i) {
      const std::uint16_t sum = sums[g * kSumsGroup + i];
      largest = sum > largest ? sum : largest;
    }
    maxima[g] = largest;
  }
}

}  // namespace

extern const SumsKernels kSumsScalar;
const SumsKernels kSumsScalar = {SimdLevel::kScalar, places_from, group_maxima};

}  // namespace vl
