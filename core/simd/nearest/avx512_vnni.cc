// SPDX-License-Identifier: Apache-2.0
// Rows against centroids, AVX-512 with VNNI; also what hosts with tiles use.
#include "simd/nearest/ops_avx512.h"

namespace vl {

extern const NearestKernels kNearestAvx512Vnni;
const NearestKernels kNearestAvx512Vnni = {
    SimdLevel::kAvx512Vnni,
    127,
    screen_rows<Nearest512<Int8VnniOps512>, 12, 2, 4>,
    scan_lanes_512,
};

}  // namespace vl
