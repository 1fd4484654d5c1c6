// SPDX-License-Identifier: Apache-2.0
// Nearest codewords, neon level. Formula, layout and bounds: README.md in this folder.
#include "simd/codeword/plain.h"

namespace vl {

extern const CodewordKernels kCodewordNeon;
const CodewordKernels kCodewordNeon = {SimdLevel::kNeon, nearest_plain, nullptr};

}  // namespace vl
