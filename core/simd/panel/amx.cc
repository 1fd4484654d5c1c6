// SPDX-License-Identifier: Apache-2.0
// Block products on AMX tiles: see amx_kernels.h.
#include <immintrin.h>

#define VL_TILE_CONFIG(config) _tile_loadconfig(config)
#define VL_TILE_RELEASE() _tile_release()
#define VL_TILE_ZERO(t) _tile_zero(t)
#define VL_TILE_LOAD(t, p, stride) _tile_loadd(t, p, stride)
#define VL_TILE_STORE(t, p, stride) _tile_stored(t, p, stride)
#define VL_TILE_DPBSUD(c, a, b) _tile_dpbsud(c, a, b)
#define VL_TILE_DPBF16PS(c, a, b) _tile_dpbf16ps(c, a, b)
#include "simd/panel/amx_kernels.h"

namespace vl {

extern const PanelKernels kPanelAmx;
const PanelKernels kPanelAmx = {
    SimdLevel::kAmx,
    127,
    filter_tiles<Int8VnniOps512, true>,
    filter_tiles<Bf16Ops512, false>,
    filter_panels<FloatOps512, 12, 2>,
    product_tiles_bf16,
    product_panels<FloatOps512, 12, 2, 8>,
    reach_tiles<Int8VnniOps512>,
};

}  // namespace vl
