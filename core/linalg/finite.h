// SPDX-License-Identifier: Apache-2.0
// Whether all values of an array are finite, and all rows have a direction.
#pragma once

#include <cstdint>

namespace vl {

bool all_finite(const float* x, std::int64_t n);
bool all_finite(const double* x, std::int64_t n);
// Whether some row has nothing but zeros.
bool any_zero_row(const float* x, std::int64_t n, std::int64_t dim);

}  // namespace vl
