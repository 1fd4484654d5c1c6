// SPDX-License-Identifier: Apache-2.0
#include "simd/float8.h"
#include "simd/float8/levels.h"

namespace vl {

const Float8Kernels& float8_kernels(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::kAvx512) return kFloat8Avx512;
  if (level >= SimdLevel::kAvx2) return kFloat8Avx2;
#endif
  static_cast<void>(level);
  return kFloat8Scalar;
}

}  // namespace vl
