// SPDX-License-Identifier: Apache-2.0
#include "index/query_code.h"

#include <algorithm>
#include <cmath>

namespace vl {

QueryCode encode_query(const float* values, std::int64_t dim, int largest_code,
                       std::int8_t* codes) {
  const auto top = static_cast<float>(largest_code);
  float largest = 0.0F;
  bool whole = true;
  for (std::int64_t d = 0; d < dim; ++d) {
    largest = std::max(largest, std::abs(values[d]));
    whole = whole && values[d] == std::nearbyint(values[d]);
  }
  QueryCode code;
  if (largest > 0.0F && !(whole && largest <= top)) code.step = largest / top;
  const float inverse = 1.0F / code.step;
  for (std::int64_t d = 0; d < dim; ++d) {
    const float scaled = std::min(top, std::max(-top, values[d] * inverse));
    const int rounded = static_cast<int>(std::lrintf(scaled));
    codes[d] = static_cast<std::int8_t>(rounded);
    const double decoded = static_cast<double>(code.step) * rounded;
    const double rest = static_cast<double>(values[d]) - decoded;
    code.residual += rest * rest;
    code.length += decoded * decoded;
  }
  code.residual = std::sqrt(code.residual);
  code.length = std::sqrt(code.length);
  return code;
}

}  // namespace vl
