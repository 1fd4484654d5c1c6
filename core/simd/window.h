// SPDX-License-Identifier: Apache-2.0
// One training window of a word learner: m input rows against n output rows, a logistic regression
// for each pair. The inner loop of skip-gram, CBOW and subword models; see window/README.md.
#pragma once

#include "simd/cpu.h"

namespace vl {

inline constexpr int kRowStep = 16;  // rows are padded with zeros to whole cache lines of float32

// What the kernels may write beyond m * n gradients.
inline constexpr int kGradientSlack = 16;

// gradients[i * n + j] = rates[i] * (labels[j] - sigmoid(in_i . out_j)), rows of `steps` * 16
// float32, aligned to 64 bytes. labels null: the first output row is the true one, the others are
// false. `gradients` has room for m * n + kGradientSlack.
using WindowScores = void (*)(const float* const* in, int m, const float* const* out, int n,
                              const float* labels, const float* rates, int steps, float* gradients);

// in_i += sum_j g_ij out_j and out_j += sum_i g_ij in_i on the steps [first, last) of each row.
// Rows must differ. Inputs are taken in blocks: a later block sees outputs that an earlier one
// moved.
using WindowUpdate = void (*)(float* const* in, int m, float* const* out, int n,
                              const float* gradients, int first, int last);

// row += sum_j g_j out_j on the steps [first, last): one input moves and the outputs stay.
using WindowPull = void (*)(float* row, const float* const* out, int n, const float* gradients,
                            int first, int last);

// sum = scale * sum_k rows_k on the steps [first, last).
using RowSum = void (*)(const float* const* rows, int n, float scale, float* sum, int first,
                        int last);

// rows_k += weights_k * (after - before) on the steps [first, last); a row may be named twice.
// weights null: all 1.
using RowAdd = void (*)(float* const* rows, int n, const float* weights, const float* after,
                        const float* before, int first, int last);

struct WindowKernels {
  SimdLevel level;
  WindowScores scores;
  WindowUpdate update;
  WindowPull pull;
  RowSum sum;
  RowAdd add;
};

// The best kernels at or below `level`.
const WindowKernels& window_kernels(SimdLevel level);
inline const WindowKernels& window_kernels() { return window_kernels(active_simd_level()); }

}  // namespace vl
