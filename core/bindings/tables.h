// SPDX-License-Identifier: Apache-2.0
// Arrays that the trainers look at: vectors of numbers, and matrices whose rows begin at cache
// lines.
#pragma once

#include <nanobind/ndarray.h>

#include <cstdint>
#include <span>

#include "base/aligned.h"
#include "base/errors.h"
#include "simd/window.h"

namespace vl {

template <class T>
using Vector =
    nanobind::ndarray<const T, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
using Table =
    nanobind::ndarray<float, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;

template <class T>
std::span<const T> view(const Vector<T>& values) {
  return {values.data(), values.shape(0)};
}

inline void check_table(const Table& table, std::int64_t n_rows, int steps) {
  if (static_cast<std::int64_t>(table.shape(0)) < n_rows ||
      static_cast<int>(table.shape(1)) != steps * kRowStep ||
      reinterpret_cast<std::uintptr_t>(table.data()) % kAlignment != 0) {
    throw Error(ErrorKind::kInternal, "a trainer got a matrix of another shape or alignment");
  }
}

inline void check_tokens(const Vector<std::int32_t>& tokens, std::int64_t n_words, bool ends) {
  for (const std::int32_t token : view(tokens)) {
    if (token < -1 || token >= n_words) {
      throw Error(ErrorKind::kInternal, "a trainer got a token that is no word");
    }
  }
  if (ends && (tokens.shape(0) == 0 || tokens.data()[tokens.shape(0) - 1] != -1)) {
    throw Error(ErrorKind::kInternal, "a trainer got texts of which the last has no end");
  }
}

}  // namespace vl
