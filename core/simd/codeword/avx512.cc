// SPDX-License-Identifier: Apache-2.0
// Nearest codewords, AVX-512 (F, BW, DQ, VL). Formula, layout and bounds: README.md in this folder.
#include "simd/codeword/ops_avx512.h"

namespace vl {

extern const CodewordKernels kCodewordAvx512;
const CodewordKernels kCodewordAvx512 = {SimdLevel::kAvx512, nearest<Avx512>, nullptr};

}  // namespace vl
