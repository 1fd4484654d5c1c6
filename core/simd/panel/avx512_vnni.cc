// SPDX-License-Identifier: Apache-2.0
// Block products, AVX-512 with VNNI: one instruction multiplies and adds 64 pairs of bytes.
#include "simd/panel/ops_avx512.h"

namespace vl {

extern const PanelKernels kPanelAvx512Vnni;
const PanelKernels kPanelAvx512Vnni = {
    SimdLevel::kAvx512Vnni,
    127,
    filter_panels<Int8VnniOps512, 12, 2>,
    filter_panels<Bf16SplitOps512, 8, 2>,
    filter_panels<FloatOps512, 12, 2>,
    product_panels<Bf16SplitOps512, 8, 2, 8>,
    product_panels<FloatOps512, 12, 2, 8>,
    reach_panels<Int8VnniOps512, 12, 2>,
};

}  // namespace vl
