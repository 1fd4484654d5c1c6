// SPDX-License-Identifier: Apache-2.0
// One codebook as the nearest-codeword kernels want it, and points in their tiles.
#pragma once

#include <cstdint>

#include "base/aligned.h"
#include "simd/codeword.h"

namespace vl {

// Codewords are centred on their mean, and so are the points: |c|^2 / 2 - x.c then keeps its digits
// when all vectors lie far from the origin.
class Codebook {
 public:
  // Room for `n_codewords` of `width` dimensions; `pairs` adds the bfloat16 form.
  Codebook(int n_codewords, int width, bool pairs);

  // codewords: (n_codewords, width), row-major.
  void set(const float* codewords);
  // The same with a centre given by the caller (the points are centred already: zeros).
  void set(const float* codewords, const float* center);

  CodewordBook floats() const;
  CodewordBook pairs() const;
  const float* center() const { return center_.data(); }
  int width() const { return width_; }
  int n_codewords() const { return n_codewords_; }

 private:
  int n_codewords_;
  int padded_;
  int width_;
  AlignedBuffer<float> words_;
  AlignedBuffer<std::int32_t> pairs_;
  AlignedBuffer<float> half_norms_;
  AlignedBuffer<float> center_;
};

// tile[d * 32 + i] = rows[i * stride + d] - center[d] for i < n_rows <= 32, zeros beyond.
void fill_tile(const float* rows, std::int64_t stride, int n_rows, const float* center, int width,
               float* tile);

// The bfloat16 form of a tile of `width` dimensions: (width + 1) / 2 steps of 32 pairs.
void pair_tile(const float* tile, int width, std::int32_t* pairs);

}  // namespace vl
