// SPDX-License-Identifier: Apache-2.0
// Whether all values of an array are finite: one pass at the speed of memory.
#pragma once

#include <cstdint>

namespace vl {

bool all_finite(const float* x, std::int64_t n);
bool all_finite(const double* x, std::int64_t n);

}  // namespace vl
