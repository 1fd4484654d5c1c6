// SPDX-License-Identifier: Apache-2.0
// Codebooks of full dimension as panels of bfloat16 pairs, and products of residuals with them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "compress/residual.h"

namespace vl {

class AdditiveBooks {
 public:
  AdditiveBooks(const AdditiveShape& shape, const float* codebooks);

  // Row of bfloat16 as the products take it.
  std::int64_t row_halves() const { return 2 * static_cast<std::int64_t>(groups_); }
  void round_row(const float* row, std::uint16_t* out) const;

  // out[i * padded() + k] = residual i . codeword k of `book`. Rows are padded to kQueryPad.
  void products(int book, const std::uint16_t* rows, int n_rows, float* out) const;

  int padded() const { return padded_; }
  const AdditiveShape& shape() const { return shape_; }
  const float* norms(int book) const {  // |codeword|^2
    return norms_.data() + static_cast<std::ptrdiff_t>(book) * shape_.n_codewords;
  }
  const float* word(int book, int k) const {
    return codebooks_ + (static_cast<std::ptrdiff_t>(book) * shape_.n_codewords + k) * shape_.dim;
  }

 private:
  AdditiveShape shape_;
  const float* codebooks_;
  int groups_;
  int padded_;
  AlignedBuffer<std::uint16_t> panels_;
  std::vector<float> norms_;
};

}  // namespace vl
