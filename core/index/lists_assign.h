// SPDX-License-Identifier: Apache-2.0
// The lists that a row stands in: that of the nearest centroid c_p, and a second one that is near
// and errs in another direction. With r = x - c_p the second one minimises
//   |x - c_j|^2 + weight (r/|r| . (x - c_j))^2                                          (SOAR)
// since a query that ranks c_p too low does so because of r, and a list whose residual is parallel
// to r would be ranked low with it. P. Sun et al., "SOAR: Improved Indexing for Approximate Nearest
// Neighbor Search", NeurIPS 2023, arXiv:2404.00774.
//
// r . (x - c_j) = r . x - x . c_j + c_p . c_j: one product of rows and centroids serves both.
// Cost: n * n_lists * dim bfloat16 multiply-adds (float32 where the CPU lacks them), whose rounding
// may swap centroids that are about equally near; n_lists^2 float32 are held.
#pragma once

#include <cstdint>

namespace vl {

// labels (n,), and others (n,) unless null: -1 where there is no second list, or the row is its
// centroid.
void assign_lists(const float* rows, std::int64_t n, const float* centroids, std::int64_t n_lists,
                  std::int64_t dim, float weight, int n_jobs, std::int32_t* labels,
                  std::int32_t* others);

}  // namespace vl
