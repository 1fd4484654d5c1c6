// SPDX-License-Identifier: Apache-2.0
// Rows against centroids, neon level. Formula and bounds: README.md in this folder.
#include "simd/nearest/ops_plain.h"

namespace vl {

extern const NearestKernels kNearestNeon;
const NearestKernels kNearestNeon = {
    SimdLevel::kNeon,
    127,
    screen_rows<PlainNearest, 4, 1, 1>,
    scan_lanes<PlainNearest, 2, 1>,
};

}  // namespace vl
