// SPDX-License-Identifier: Apache-2.0
#include "simd/nearest.h"

namespace vl {

extern const NearestKernels kNearestScalar;
#if defined(__x86_64__)
extern const NearestKernels kNearestAvx2;
extern const NearestKernels kNearestAvx512;
extern const NearestKernels kNearestAvx512Vnni;
#elif defined(__aarch64__)
extern const NearestKernels kNearestNeon;
#endif

const NearestKernels& nearest_kernels(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::kAvx512Vnni) return kNearestAvx512Vnni;
  if (level >= SimdLevel::kAvx512) return kNearestAvx512;
  if (level >= SimdLevel::kAvx2) return kNearestAvx2;
#elif defined(__aarch64__)
  if (level >= SimdLevel::kNeon) return kNearestNeon;
#else
  (void)level;
#endif
  return kNearestScalar;
}

}  // namespace vl
