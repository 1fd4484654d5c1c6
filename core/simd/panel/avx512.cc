// SPDX-License-Identifier: Apache-2.0
// Block products, AVX-512 (F, BW, DQ, VL). Formula, layout and bounds: README.md in this folder.
#include "simd/panel/ops_avx512.h"

namespace vl {

extern const PanelKernels kPanelAvx512;
const PanelKernels kPanelAvx512 = {
    SimdLevel::kAvx512,
    63,
    filter_panels<Int8MaddOps512, 12, 2>,
    filter_panels<Bf16SplitOps512, 8, 2>,
    filter_panels<FloatOps512, 12, 2>,
    product_panels<Bf16SplitOps512, 8, 2, 8>,
    product_panels<FloatOps512, 12, 2, 8>,
    reach_panels<Int8MaddOps512, 12, 2>,
};

}  // namespace vl
