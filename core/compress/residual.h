// SPDX-License-Identifier: Apache-2.0
// Residual (additive) quantization: a vector is the sum of one codeword of each codebook.
// Chen, Guan, Wang, Sensors 2010, doi:10.3390/s101211259; Babenko, Lempitsky, CVPR 2014,
// doi:10.1109/CVPR.2014.124; codebooks refined jointly as in Martinez et al., ECCV 2018.
#pragma once

#include <cstdint>

namespace vl {

// codebooks: (n_codebooks, n_codewords, dim), row-major; codes: (n, n_codebooks), one byte each.
struct AdditiveShape {
  std::int64_t dim = 0;
  int n_codebooks = 0;
  int n_codewords = 256;  // 1..256

  std::int64_t book() const { return static_cast<std::int64_t>(n_codewords) * dim; }
};

struct AdditiveTraining {
  int beam = 4;      // of the encodings between the rounds
  int max_iter = 8;  // Lloyd iterations of each greedy codebook
  int rounds = 4;    // of encoding everything and refitting all codebooks
};

// codes of the best sums that a beam of `beam` partial sums finds; then `sweeps` times each code is
// replaced by the best given the others. Products are of bfloat16 pairs (inputs rounded to 8 bits),
// residuals float32.
void additive_encode(const float* x, std::int64_t n, const AdditiveShape& shape,
                     const float* codebooks, int beam, int sweeps, int n_jobs, std::uint8_t* codes);

void additive_decode(const std::uint8_t* codes, std::int64_t n, const AdditiveShape& shape,
                     const float* codebooks, int n_jobs, float* out);

// Moves codewords to the least squares fit of sum_m C[m, code_m] to x: `passes` Gauss-Seidel passes
// over the codebooks. Dimensions are independent, so they are dealt to the threads.
void additive_refit(const float* x, std::int64_t n, const AdditiveShape& shape,
                    const std::uint8_t* codes, int passes, int n_jobs, float* codebooks);

// x: (n, dim), in random order.
void additive_train(const float* x, std::int64_t n, const AdditiveShape& shape,
                    const AdditiveTraining& training, int n_jobs, float* codebooks);

}  // namespace vl
