// SPDX-License-Identifier: Apache-2.0
// Training windows, scalar level. Formulas and bounds: README.md in this folder.
#include "simd/window/plain.h"

namespace vl {

extern const WindowKernels kWindowScalar;
const WindowKernels kWindowScalar = {SimdLevel::kScalar, scores_plain, update_plain,
                                     pull_plain,         sum_plain,    add_plain};

}  // namespace vl
