// SPDX-License-Identifier: Apache-2.0
// Fast rotations: signs and Walsh-Hadamard transforms instead of a dense orthogonal matrix.
#pragma once

#include <cstdint>

namespace vl {

// y = R x of each row, in place allowed: for each of `rounds` rounds, flip signs, then transform a
// block of p = 2^floor(log2 dim) entries, the first p in even rounds and the last p in odd ones
// (the two overlap unless dim is a power of two), scaled by 1/sqrt(p): an orthogonal map.
// signs: (rounds, dim), +1 or -1. dim log2(dim) additions a round and row.
void hadamard(const float* x, std::int64_t n, std::int64_t dim, const std::int8_t* signs,
              int rounds, float* out, int n_threads);

// The inverse map: the same steps backwards.
void hadamard_inverse(const float* x, std::int64_t n, std::int64_t dim, const std::int8_t* signs,
                      int rounds, float* out, int n_threads);

}  // namespace vl
