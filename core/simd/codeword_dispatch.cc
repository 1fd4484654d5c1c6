// SPDX-License-Identifier: Apache-2.0
#include "simd/codeword.h"

namespace vl {

extern const CodewordKernels kCodewordScalar;
#if defined(__x86_64__)
extern const CodewordKernels kCodewordAvx2;
extern const CodewordKernels kCodewordAvx512;
extern const CodewordKernels kCodewordAvx512Bf16;
#elif defined(__aarch64__)
extern const CodewordKernels kCodewordNeon;
#endif

const CodewordKernels& codeword_kernels(SimdLevel level) {
#if defined(__x86_64__)
  if (level >= SimdLevel::kAvx512Bf16) return kCodewordAvx512Bf16;
  if (level >= SimdLevel::kAvx512) return kCodewordAvx512;
  if (level >= SimdLevel::kAvx2) return kCodewordAvx2;
#elif defined(__aarch64__)
  if (level >= SimdLevel::kNeon) return kCodewordNeon;
#endif
  static_cast<void>(level);
  return kCodewordScalar;
}

}  // namespace vl
