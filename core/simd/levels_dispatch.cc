// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "simd/levels.h"
#include "simd/levels/tables.h"

namespace vl {

void arrange_query(int bits, std::int64_t dim, const std::int8_t* digit, std::int8_t* out) {
  std::fill_n(out, plane_query_size(bits, dim), std::int8_t{0});
  if (bits == 1) {
    std::copy_n(digit, dim, out);
    return;
  }
  const std::int64_t parts = 8 / bits;
  const std::int64_t a_block = parts * kPlaneBlock;
  for (std::int64_t at = 0; at < dim; at += a_block) {
    const std::int64_t left = dim - at;
    const std::int64_t bytes = left >= a_block ? kPlaneBlock : (left + parts - 1) / parts;
    for (std::int64_t i = 0; i < std::min(left, a_block); ++i) {
      out[at + i / bytes * kPlaneBlock + i % bytes] = digit[at + i];
    }
  }
}

const LevelKernels& level_kernels(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::kAvx512Vnni) return kLevelsVnni;
  if (level >= SimdLevel::kAvx512) return kLevelsAvx512;
  if (level >= SimdLevel::kAvx2) return kLevelsAvx2;
#elif defined(__aarch64__)
  if (level >= SimdLevel::kNeon) return kLevelsNeon;
#endif
  static_cast<void>(level);
  return kLevelsScalar;
}

}  // namespace vl
