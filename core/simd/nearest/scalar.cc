// SPDX-License-Identifier: Apache-2.0
// Rows against centroids, scalar level. Formula and bounds: README.md in this folder.
#include "simd/nearest/ops_plain.h"

namespace vl {

extern const NearestKernels kNearestScalar;
const NearestKernels kNearestScalar = {
    SimdLevel::kScalar,
    127,
    screen_rows<PlainNearest, 4, 1, 1>,
    scan_lanes<PlainNearest, 1, 1>,
};

}  // namespace vl
