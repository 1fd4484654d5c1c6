// SPDX-License-Identifier: Apache-2.0
// Fixed-dimensional encodings of runs of vectors (MUVERA): one vector an item whose inner product
// with that of a query approximates sum_i max_j <q_i, x_j>.
//
// In repetition r a vector x falls into the cell c_r(x) whose bits are the signs of n_bits products
// (SimHash), and is carried by its projection p_r(x). The block of cell c in repetition r is
//   a query's     sum of p_r(q) over its vectors in c
//   a document's  mean of p_r(x) over its vectors in c; for an empty cell p_r(x) of the vector
//                 whose cell differs from c in the fewest bits, the first of equals
// and zero for an empty cell of a query, or where filling is off.
// Jayaram, Dhulipala, Hadian, Lee, Mirrokni. "MUVERA: Multi-Vector Retrieval via Fixed Dimensional
// Encodings", NeurIPS 2024, arXiv:2405.19504, section 2.
#pragma once

#include <cstdint>

namespace vl {

struct FdeShape {
  std::int64_t repetitions = 0;
  int n_bits = 0;          // 2^n_bits cells
  std::int64_t width = 0;  // of a projected vector
  bool is_document = false;
  bool fill_empty = false;  // documents only
};

// planes (offsets[n], repetitions * n_bits): the products whose signs are the bits.
// projected (offsets[n], repetitions * width).
// out (n, repetitions * 2^n_bits * width). Sums in float32, in the order of the vectors.
void fde_pool(const FdeShape& shape, const float* planes, const float* projected,
              const std::int64_t* offsets, std::int64_t n, int n_jobs, float* out);

}  // namespace vl
