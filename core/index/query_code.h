// SPDX-License-Identifier: Apache-2.0
// A float32 query as int8 codes with one step, and how far off that is.
#pragma once

#include <cstdint>

namespace vl {

struct QueryCode {
  float step = 1.0F;      // value ~ step * code
  double residual = 0.0;  // |value - step * code|
  double length = 0.0;    // |step * code|
};

// Codes lie within [-largest_code, largest_code]. Whole numbers within that range are their own
// codes, so int8 vectors as queries lose nothing.
QueryCode encode_query(const float* values, std::int64_t dim, int largest_code, std::int8_t* codes);

}  // namespace vl
