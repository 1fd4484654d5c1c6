// SPDX-License-Identifier: Apache-2.0
// The kernels of window.h in plain C++: the truth at the scalar level, and what the compiler makes
// of it for NEON.
#pragma once

#include <cmath>

#include "simd/window.h"

namespace vl {
namespace {

void scores_plain(const float* const* in, int m, const float* const* out, int n,
                  const float* labels, const float* rates, int steps, float* gradients) {
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      float lanes[kRowStep] = {};
      for (int d = 0; d < steps * kRowStep; d += kRowStep) {
        for (int l = 0; l < kRowStep; ++l) lanes[l] += in[i][d + l] * out[j][d + l];
      }
      float dot = 0.0f;
      for (const float lane : lanes) dot += lane;
      const float label = labels == nullptr ? (j == 0 ? 1.0f : 0.0f) : labels[j];
      gradients[i * n + j] = rates[i] * (label - 1.0f / (1.0f + std::exp(-dot)));
    }
  }
}

// Inputs in blocks, as at the other levels.
void update_plain(float* const* in, int m, float* const* out, int n, const float* gradients,
                  int first, int last) {
  constexpr int kInputs = 8;
  for (int begin = 0; begin < m; begin += kInputs) {
    const int end = m < begin + kInputs ? m : begin + kInputs;
    for (int d = first * kRowStep; d < last * kRowStep; d += kRowStep) {
      float before[kInputs][kRowStep];
      for (int i = begin; i < end; ++i) {
        for (int l = 0; l < kRowStep; ++l) before[i - begin][l] = in[i][d + l];
      }
      for (int j = 0; j < n; ++j) {
        float* row = out[j] + d;
        float other[kRowStep];
        for (int l = 0; l < kRowStep; ++l) other[l] = row[l];
        for (int i = begin; i < end; ++i) {
          const float g = gradients[i * n + j];
          for (int l = 0; l < kRowStep; ++l) {
            in[i][d + l] += g * other[l];
            row[l] += g * before[i - begin][l];
          }
        }
      }
    }
  }
}

void pull_plain(float* row, const float* const* out, int n, const float* gradients, int first,
                int last) {
  for (int j = 0; j < n; ++j) {
    for (int d = first * kRowStep; d < last * kRowStep; ++d) row[d] += gradients[j] * out[j][d];
  }
}

void sum_plain(const float* const* rows, int n, float scale, float* sum, int first, int last) {
  for (int d = first * kRowStep; d < last * kRowStep; ++d) {
    float total = 0.0f;
    for (int k = 0; k < n; ++k) total += rows[k][d];
    sum[d] = scale * total;
  }
}

void add_plain(float* const* rows, int n, const float* weights, const float* after,
               const float* before, int first, int last) {
  for (int k = 0; k < n; ++k) {
    const float weight = weights == nullptr ? 1.0f : weights[k];
    for (int d = first * kRowStep; d < last * kRowStep; ++d) {
      rows[k][d] += weight * (after[d] - before[d]);
    }
  }
}

}  // namespace
}  // namespace vl
