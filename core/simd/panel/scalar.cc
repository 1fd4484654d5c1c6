// SPDX-License-Identifier: Apache-2.0
// Block products, scalar level. Formula, layout and bounds: README.md in this folder.
#include "simd/panel/ops_plain.h"

namespace vl {

extern const PanelKernels kPanelScalar;
const PanelKernels kPanelScalar = {
    SimdLevel::kScalar,
    127,
    filter_panels<PlainInt8Ops, 4, 1>,
    filter_panels<PlainBf16Ops, 4, 1>,
    filter_panels<PlainFloatOps, 4, 1>,
    product_panels<PlainBf16Ops, 4, 1, 2>,
    product_panels<PlainFloatOps, 4, 1, 2>,
    reach_panels<PlainInt8Ops, 4, 1>,
};

}  // namespace vl
