// SPDX-License-Identifier: Apache-2.0
// Nearest codewords, scalar level. Formula, layout and bounds: README.md in this folder.
#include "simd/codeword/plain.h"

namespace vl {

extern const CodewordKernels kCodewordScalar;
const CodewordKernels kCodewordScalar = {SimdLevel::kScalar, nearest_plain, nullptr};

}  // namespace vl
