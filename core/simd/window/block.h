// SPDX-License-Identifier: Apache-2.0
// The kernels of window.h for levels with wide registers. `Ops` names a register of kLanes float32,
// kScores products that one call of `Ops::reduce` sums up at once, and kInputs rows an update holds
// in registers.
#pragma once

#include "simd/window.h"

namespace vl {
namespace {

// Lane i * J + j of the answer is in_i . out_j for I inputs and J outputs.
template <class Ops, int I, int J>
inline typename Ops::Vec products(const float* const* in, const float* const* out, int width) {
  typename Ops::Vec sums[Ops::kScores];
  for (int k = 0; k < Ops::kScores; ++k) sums[k] = Ops::zero();
  for (int d = 0; d < width; d += Ops::kLanes) {
    typename Ops::Vec a[I];
    for (int i = 0; i < I; ++i) a[i] = Ops::load(in[i] + d);
    for (int j = 0; j < J; ++j) {
      const typename Ops::Vec b = Ops::load(out[j] + d);
      for (int i = 0; i < I; ++i) sums[i * J + j] = Ops::fma(a[i], b, sums[i * J + j]);
    }
  }
  return Ops::template reduce<I * J>(sums);
}

template <class Ops>
inline typename Ops::Vec sigmoid(typename Ops::Vec x) {
  const typename Ops::Vec one = Ops::set1(1.0f);
  return Ops::div(one, Ops::add(one, Ops::exp(Ops::neg(x))));
}

// I inputs against outputs [0, J): gradients to out[i * J + j], then whatever the register holds.
template <class Ops, int I, int J>
void score_block(const float* const* in, const float* const* out, const float* labels,
                 const float* rates, int width, float* gradients) {
  const typename Ops::Vec p = sigmoid<Ops>(products<Ops, I, J>(in, out, width));
  const typename Ops::Vec truth =
      labels == nullptr ? Ops::template first_of<I, J>() : Ops::template repeat<I, J>(labels);
  Ops::store(gradients, Ops::mul(Ops::template rates<I, J>(rates), Ops::sub(truth, p)));
}

template <class Ops, int I>
void score_inputs(const float* const* in, const float* const* out, int n, const float* labels,
                  const float* rates, int width, float* gradients) {
  switch (n) {
    case 1: return score_block<Ops, I, 1>(in, out, labels, rates, width, gradients);
    case 2: return score_block<Ops, I, 2>(in, out, labels, rates, width, gradients);
    case 3: return score_block<Ops, I, 3>(in, out, labels, rates, width, gradients);
    case 4: return score_block<Ops, I, 4>(in, out, labels, rates, width, gradients);
    case 5: return score_block<Ops, I, 5>(in, out, labels, rates, width, gradients);
    default: return score_block<Ops, I, 6>(in, out, labels, rates, width, gradients);
  }
}

// Up to six outputs fill a block of two inputs; more are taken six at a time for one input, where
// the labels of later blocks are zero unless they are given.
template <class Ops>
void scores_block(const float* const* in, int m, const float* const* out, int n,
                  const float* labels, const float* rates, int steps, float* gradients) {
  constexpr float kFalse[6] = {};
  const int width = steps * kRowStep;
  if (n <= 6) {
    int i = 0;
    if constexpr (Ops::kScores >= 12) {
      for (; i + 2 <= m; i += 2) {
        score_inputs<Ops, 2>(in + i, out, n, labels, rates + i, width, gradients + i * n);
      }
    }
    for (; i < m; ++i) {
      score_inputs<Ops, 1>(in + i, out, n, labels, rates + i, width, gradients + i * n);
    }
    return;
  }
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; j += 6) {
      const float* truth = labels != nullptr ? labels + j : (j == 0 ? nullptr : kFalse);
      score_inputs<Ops, 1>(in + i, out + j, n - j < 6 ? n - j : 6, truth, rates + i, width,
                           gradients + i * n + j);
    }
  }
}

// I inputs stay in registers, before and after; each output row is read and written once.
template <class Ops, int I>
void update_inputs(float* const* in, float* const* out, int n, const float* gradients, int begin,
                   int end) {
  for (int d = begin; d < end; d += Ops::kLanes) {
    typename Ops::Vec before[I];
    typename Ops::Vec after[I];
    for (int i = 0; i < I; ++i) after[i] = before[i] = Ops::load(in[i] + d);
    for (int j = 0; j < n; ++j) {
      const typename Ops::Vec other = Ops::load(out[j] + d);
      typename Ops::Vec moved = other;
      for (int i = 0; i < I; ++i) {
        const typename Ops::Vec g = Ops::set1(gradients[i * n + j]);
        moved = Ops::fma(g, before[i], moved);
        after[i] = Ops::fma(g, other, after[i]);
      }
      Ops::store(out[j] + d, moved);
    }
    for (int i = 0; i < I; ++i) Ops::store(in[i] + d, after[i]);
  }
}

template <class Ops>
void update_block(float* const* in, int m, float* const* out, int n, const float* gradients,
                  int first, int last) {
  const int begin = first * kRowStep;
  const int end = last * kRowStep;
  const int blocks = (m + Ops::kInputs - 1) / Ops::kInputs;
  for (int b = 0, i = 0; b < blocks; ++b) {
    const int count = (m - i + blocks - b - 1) / (blocks - b);
    const float* g = gradients + i * n;
    float* const* rows = in + i;
    switch (count) {
      case 1: update_inputs<Ops, 1>(rows, out, n, g, begin, end); break;
      case 2: update_inputs<Ops, 2>(rows, out, n, g, begin, end); break;
      case 3: update_inputs<Ops, 3>(rows, out, n, g, begin, end); break;
      case 4: update_inputs<Ops, 4>(rows, out, n, g, begin, end); break;
      case 5: update_inputs<Ops, 5>(rows, out, n, g, begin, end); break;
      default:
        if constexpr (Ops::kInputs >= 8) {
          if (count == 6) update_inputs<Ops, 6>(rows, out, n, g, begin, end);
          if (count == 7) update_inputs<Ops, 7>(rows, out, n, g, begin, end);
          if (count == 8) update_inputs<Ops, 8>(rows, out, n, g, begin, end);
        }
    }
    i += count;
  }
}

template <class Ops>
void pull_block(float* row, const float* const* out, int n, const float* gradients, int first,
                int last) {
  for (int d = first * kRowStep; d < last * kRowStep; d += Ops::kLanes) {
    typename Ops::Vec moved = Ops::load(row + d);
    for (int j = 0; j < n; ++j) {
      moved = Ops::fma(Ops::set1(gradients[j]), Ops::load(out[j] + d), moved);
    }
    Ops::store(row + d, moved);
  }
}

template <class Ops>
void sum_block(const float* const* rows, int n, float scale, float* sum, int first, int last) {
  for (int d = first * kRowStep; d < last * kRowStep; d += Ops::kLanes) {
    typename Ops::Vec total = Ops::zero();
    for (int k = 0; k < n; ++k) total = Ops::add(total, Ops::load(rows[k] + d));
    Ops::store(sum + d, Ops::mul(Ops::set1(scale), total));
  }
}

template <class Ops>
void add_block(float* const* rows, int n, const float* weights, const float* after,
               const float* before, int first, int last) {
  for (int k = 0; k < n; ++k) {
    const typename Ops::Vec weight = Ops::set1(weights == nullptr ? 1.0f : weights[k]);
    for (int d = first * kRowStep; d < last * kRowStep; d += Ops::kLanes) {
      const typename Ops::Vec change = Ops::sub(Ops::load(after + d), Ops::load(before + d));
      Ops::store(rows[k] + d, Ops::fma(weight, change, Ops::load(rows[k] + d)));
    }
  }
}

}  // namespace
}  // namespace vl
