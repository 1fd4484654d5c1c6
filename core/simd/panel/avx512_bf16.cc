// SPDX-License-Identifier: Apache-2.0
// Block products, AVX-512 with VNNI and BF16 dot products.
#include "simd/panel/ops_avx512.h"

namespace vl {

extern const PanelKernels kPanelAvx512Bf16;
const PanelKernels kPanelAvx512Bf16 = {
    SimdLevel::kAvx512Bf16,
    127,
    filter_panels<Int8VnniOps512, 12, 2>,
    filter_panels<Bf16Ops512, 12, 2>,
    filter_panels<FloatOps512, 12, 2>,
    product_panels<Bf16Ops512, 12, 2, 8>,
    product_panels<FloatOps512, 12, 2, 8>,
    reach_panels<Int8VnniOps512, 12, 2>,
};

}  // namespace vl
