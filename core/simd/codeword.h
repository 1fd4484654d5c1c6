// SPDX-License-Identifier: Apache-2.0
// Nearest of a few hundred codewords for many short vectors: the inner loop of product and residual
// quantization, in training and in encoding. Layout, cost and error bounds: codeword/README.md.
#pragma once

#include <cstdint>

#include "simd/cpu.h"

namespace vl {

inline constexpr int kTilePoints = 32;  // points side by side in a tile: two zmm of float32
inline constexpr int kBookGroup = 8;    // codewords side by side in a codebook

// Codewords as the kernels want them. A step is one dimension (float32) or two (bfloat16 pairs):
// four bytes. words[(group * steps + s) * 8 + j] is step s of minus codeword 8 * group + j.
struct CodewordBook {
  const void* words = nullptr;
  const float* half_norms = nullptr;  // |codeword|^2 / 2; +inf for the codewords that pad a group
  int n_codewords = 0;  // padded to a multiple of kBookGroup, at least one of them real
  int steps = 0;
};

// For each of the 32 points of each tile, tile[s * 32 + point], the codeword that minimises
// |codeword|^2 / 2 - point . codeword, the lowest number among equals. `scores` (may be null) gets
// that minimum: twice it plus |point|^2 is the squared distance.
using NearestCodewords = void (*)(const void* tiles, std::int64_t n_tiles, const CodewordBook& book,
                                  std::int32_t* codes, float* scores);

struct CodewordKernels {
  SimdLevel level;
  NearestCodewords nearest_f32;
  // Products of bfloat16 pairs added in float32: twice the speed, inputs rounded to 8 bits. Null
  // where the level has no such instruction: emulating it would be slower than float32.
  NearestCodewords nearest_bf16;
};

// The best kernels at or below `level`.
const CodewordKernels& codeword_kernels(SimdLevel level);
inline const CodewordKernels& codeword_kernels() { return codeword_kernels(active_simd_level()); }

}  // namespace vl
