// SPDX-License-Identifier: Apache-2.0
// C = A Bᵀ of float32 matrices, threaded. An element of C depends on its own row of A and of B
// alone: the same bits whatever else is in the matrices and however many threads work.
#pragma once

#include <cstdint>

namespace vl {

// a: (n, dim), b: (m, dim), c: (n, m), all row-major and contiguous. `n_jobs` as in
// base/threads.h, resolved.
void matmul(const float* a, std::int64_t n, const float* b, std::int64_t m, std::int64_t dim,
            float* c, int n_threads);

}  // namespace vl
