// SPDX-License-Identifier: Apache-2.0
// Lloyd's iterations for one small codebook: a few hundred codewords, a few dimensions.
#pragma once

#include <cstdint>

namespace vl {

// points: (n, width) row-major, in random order: prefixes serve as smaller samples. Writes
// codewords (n_codewords, width). Runs in the calling thread.
void train_codebook(const float* points, std::int64_t n, int width, int n_codewords, int max_iter,
                    float* codewords);

}  // namespace vl
