// SPDX-License-Identifier: Apache-2.0
// Second moments of the rows of a matrix in float64, threaded; one pass over the rows.
#pragma once

#include <cstdint>

namespace vl {

// G = sum over rows of (x - mean)(x - mean)ᵀ. x: (n, dim) row-major; mean: (dim,) or null for zero;
// out: (dim, dim). The same bits at any number of threads.
void gram(const float* x, std::int64_t n, std::int64_t dim, const float* mean, double* out,
          int n_threads);

// The mean of the rows, and G around it.
void moments(const float* x, std::int64_t n, std::int64_t dim, double* mean, double* out,
             int n_threads);

}  // namespace vl
