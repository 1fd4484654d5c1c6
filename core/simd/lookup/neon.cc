// SPDX-License-Identifier: Apache-2.0
// Table sums, neon level. Layout and bounds: README.md in this folder.
#include "simd/lookup/plain.h"

namespace vl {

extern const LookupKernels kLookupNeon;
const LookupKernels kLookupNeon = {SimdLevel::kNeon, bytes_many_plain, bytes_one_plain,
                                   nibbles_plain<float, float>,
                                   nibbles_plain<std::uint8_t, std::uint16_t>};

}  // namespace vl
