// SPDX-License-Identifier: Apache-2.0
// Nearest codewords in plain C++, for the scalar level and for NEON, where the compiler vectorises
// the loop over the points of a tile. Included only by level files.
#pragma once

#include <cstdint>
#include <limits>

#include "simd/codeword.h"

namespace vl {
namespace {

inline void nearest_plain(const void* tiles, std::int64_t n_tiles, const CodewordBook& book,
                          std::int32_t* codes, float* scores) {
  const float* words = static_cast<const float*>(book.words);
  for (std::int64_t t = 0; t < n_tiles; ++t) {
    const float* tile = static_cast<const float*>(tiles) + t * book.steps * kTilePoints;
    float best[kTilePoints];
    std::int32_t* at = codes + t * kTilePoints;
    for (int p = 0; p < kTilePoints; ++p) {
      best[p] = std::numeric_limits<float>::infinity();
      at[p] = 0;
    }
    for (int k = 0; k < book.n_codewords; ++k) {
      const float* word = words +
                          static_cast<std::int64_t>(k / kBookGroup) * book.steps * kBookGroup +
                          k % kBookGroup;
      float acc[kTilePoints];
      for (int p = 0; p < kTilePoints; ++p) acc[p] = book.half_norms[k];
      for (int s = 0; s < book.steps; ++s) {
        const float value = word[s * kBookGroup];
        const float* points = tile + s * kTilePoints;
        for (int p = 0; p < kTilePoints; ++p) acc[p] += points[p] * value;
      }
      for (int p = 0; p < kTilePoints; ++p) {
        const bool nearer = acc[p] < best[p];
        best[p] = nearer ? acc[p] : best[p];
        at[p] = nearer ? k : at[p];
      }
    }
    for (int p = 0; p < kTilePoints && scores != nullptr; ++p)
      scores[t * kTilePoints + p] = best[p];
  }
}

}  // namespace
}  // namespace vl
