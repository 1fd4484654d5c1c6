// SPDX-License-Identifier: Apache-2.0
// First centroids.
#pragma once

#include <cstdint>

#include "select/nearest.h"

namespace vl {

// k distinct row numbers of n, drawn without replacement and sorted; `stream` tells uses of one
// seed apart.
void draw_rows(std::int64_t n, std::int64_t k, std::uint64_t seed, std::uint32_t stream,
               std::int64_t* out);

void seed_random(const FloatRows& rows, std::int64_t k, std::uint64_t seed, float* centroids);

// k-means++: a row becomes a centroid with probability proportional to its squared distance to the
// centroids so far.
//
// Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
//
// Greedy (of several draws the one that lowers the sum of distances most) while that is cheap;
// else on a sample of kSeedRows rows a cluster, drawing many centroids from one set of distances
// and keeping a draw with probability (its distance now) / (its distance then), which leaves the
// distribution what it is and makes block products of the distances.
inline constexpr std::int64_t kSeedRows = 32;
void seed_plus_plus(const FloatRows& rows, const double* weights, std::int64_t k,
                    std::uint64_t seed, int n_threads, float* centroids);

}  // namespace vl
