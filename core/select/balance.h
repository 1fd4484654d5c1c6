// SPDX-License-Identifier: Apache-2.0
// Labels under a bound on the size of clusters.
#pragma once

#include <cstdint>

#include "select/nearest.h"

namespace vl {

// Changes labels until no cluster has more than `most` rows (k * most >= n): a cluster above the
// bound gives away the rows that lose least by going to the nearest cluster with room, and that
// takes the ones that lose least first. Greedy, in rounds; a row on the way to several full
// clusters ends further away than an optimal transport would put it.
void balance(const FloatRows& rows, const float* centroids, std::int64_t k, std::int64_t most,
             int n_threads, std::int32_t* labels);

}  // namespace vl
