// SPDX-License-Identifier: Apache-2.0
// The table each level's file defines; pair_dispatch.cc picks among them after the CPU was probed.
#pragma once

#include "simd/pair.h"

namespace vl {

extern const PairKernels kPairScalar;
#if defined(__x86_64__)
extern const PairKernels kPairAvx2;
extern const PairKernels kPairAvx512;
extern const ScanI8 kPairVnniIpI8;  // the rest of the VNNI table is kPairAvx512
extern const ScanI8 kPairVnniL2I8;
#elif defined(__aarch64__)
extern const PairKernels kPairNeon;
#endif

}  // namespace vl
