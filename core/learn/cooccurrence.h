// SPDX-License-Identifier: Apache-2.0
// How often words stand near each other, as a sparse matrix.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vl {

enum class PairWeight : int {
  kFlat = 0,      // 1
  kHarmonic = 1,  // 1 / distance (GloVe)
  kLinear = 2,    // (window + 1 - distance) / window: what drawing the window from 1..window gives
};

struct SparseCounts {
  std::vector<std::int64_t> offsets;  // of row w: [offsets[w], offsets[w + 1])
  std::vector<std::int32_t> columns;  // rising in a row
  std::vector<float> values;
};

// values(w, c): the weights of all places where c stands at most `window` tokens from w in the same
// sentence (-1 ends one), both ways, so the matrix is symmetric. A row is summed up in a dense
// array that fits into cache, in the order of the text: the same bits at any number of threads.
SparseCounts cooccurrence(std::span<const std::int32_t> tokens, std::int64_t n_words, int window,
                          PairWeight weight, int n_jobs);

}  // namespace vl
