// SPDX-License-Identifier: Apache-2.0
// The table each level's file defines; float8_dispatch.cc picks among them.
#pragma once

#include "simd/float8.h"

namespace vl {

extern const Float8Kernels kFloat8Scalar;
#if defined(__x86_64__)
extern const Float8Kernels kFloat8Avx2;
extern const Float8Kernels kFloat8Avx512;
#endif

}  // namespace vl
