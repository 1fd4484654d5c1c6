// SPDX-License-Identifier: Apache-2.0
#include "simd/window.h"

namespace vl {

extern const WindowKernels kWindowScalar;
#if defined(__x86_64__)
extern const WindowKernels kWindowAvx2;
extern const WindowKernels kWindowAvx512;
#elif defined(__aarch64__)
extern const WindowKernels kWindowNeon;
#endif

const WindowKernels& window_kernels(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::kAvx512) return kWindowAvx512;
  if (level >= SimdLevel::kAvx2) return kWindowAvx2;
#elif defined(__aarch64__)
  if (level >= SimdLevel::kNeon) return kWindowNeon;
#endif
  static_cast<void>(level);
  return kWindowScalar;
}

}  // namespace vl
