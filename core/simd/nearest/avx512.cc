// SPDX-License-Identifier: Apache-2.0
// Rows against centroids, AVX-512 without VNNI.
#include "simd/nearest/ops_avx512.h"

namespace vl {

extern const NearestKernels kNearestAvx512;
const NearestKernels kNearestAvx512 = {
    SimdLevel::kAvx512,
    63,
    screen_rows<Nearest512<Int8MaddOps512>, 12, 2, 4>,
    scan_lanes_512,
};

}  // namespace vl
