// SPDX-License-Identifier: Apache-2.0
// Rows that are the same, bit for bit, found by a 64-bit hash and compared in full.
// Cost: each row is read once, and those with a hash in common once more.
#pragma once

#include <cstdint>
#include <vector>

#include "index/points.h"

namespace vl {

// For each row of [first, last) the first of them that is the same: itself where none is before it.
std::vector<std::int32_t> first_twins(const Points& points, std::int64_t first, std::int64_t last,
                                      int n_threads);

}  // namespace vl
