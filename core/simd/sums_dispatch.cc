// SPDX-License-Identifier: Apache-2.0
#include "simd/sums.h"

namespace vl {

extern const SumsKernels kSumsScalar;
#if defined(__x86_64__)
extern const SumsKernels kSumsAvx2;
extern const SumsKernels kSumsAvx512;
#endif

const SumsKernels& sums_kernels(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::kAvx512) return kSumsAvx512;
  if (level >= SimdLevel::kAvx2) return kSumsAvx2;
#endif
  static_cast<void>(level);
  return kSumsScalar;
}

}  // namespace vl
