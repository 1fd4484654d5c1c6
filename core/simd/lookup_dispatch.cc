// SPDX-License-Identifier: Apache-2.0
#include "simd/lookup.h"

namespace vl {

extern const LookupKernels kLookupScalar;
#if defined(__x86_64__)
extern const LookupKernels kLookupAvx2;
extern const LookupKernels kLookupAvx512;
#elif defined(__aarch64__)
extern const LookupKernels kLookupNeon;
#endif

const LookupKernels& lookup_kernels(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::kAvx512) return kLookupAvx512;
  if (level >= SimdLevel::kAvx2) return kLookupAvx2;
#elif defined(__aarch64__)
  if (level >= SimdLevel::kNeon) return kLookupNeon;
#endif
  static_cast<void>(level);
  return kLookupScalar;
}

}  // namespace vl
