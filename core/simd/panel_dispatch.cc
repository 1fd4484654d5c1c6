// SPDX-License-Identifier: Apache-2.0
#include "simd/panel.h"

namespace vl {

extern const PanelKernels kPanelScalar;
#if defined(__x86_64__)
extern const PanelKernels kPanelAvx2;
extern const PanelKernels kPanelAvx512;
extern const PanelKernels kPanelAvx512Vnni;
extern const PanelKernels kPanelAvx512Bf16;
extern const PanelKernels kPanelAmx;
extern const PanelKernels kPanelAmxModel;
#elif defined(__aarch64__)
extern const PanelKernels kPanelNeon;
#endif

const PanelKernels& panel_kernels(SimdLevel level) {
  switch (level) {
#if defined(__x86_64__)
    case SimdLevel::kAvx2: return kPanelAvx2;
    case SimdLevel::kAvx512: return kPanelAvx512;
    case SimdLevel::kAvx512Vnni: return kPanelAvx512Vnni;
    case SimdLevel::kAvx512Bf16: return kPanelAvx512Bf16;
    case SimdLevel::kAmx: return kPanelAmx;
    case SimdLevel::kAmxModel: return kPanelAmxModel;
#elif defined(__aarch64__)
    case SimdLevel::kNeon: return kPanelNeon;
#endif
    default: return kPanelScalar;
  }
}

}  // namespace vl
