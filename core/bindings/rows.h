// SPDX-License-Identifier: Apache-2.0
// Stored rows as Python hands them over, and what goes back.
#pragma once

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "base/rows.h"
#include "index/exact.h"

namespace vl {

namespace nb = nanobind;

using AnyMatrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using FloatMatrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using FloatVector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using DoubleVector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ByteVector = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using IntMatrix = nb::ndarray<const std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using IntVector = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
nb::ndarray<nb::numpy, T> owned(std::vector<T>&& values, std::initializer_list<std::size_t> shape) {
  auto holder = std::make_unique<std::vector<T>>(std::move(values));
  T* data = holder->data();
  const nb::capsule owner(holder.release(),
                          [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::ndarray<nb::numpy, T>(data, shape, owner);
}

// (lims, positions, scores)
inline nb::tuple ranged(RangeResult&& result) {
  const std::size_t n = result.positions.size();
  const std::size_t n_limits = result.limits.size();
  return nb::make_tuple(owned(std::move(result.limits), {n_limits}),
                        owned(std::move(result.positions), {n}),
                        owned(std::move(result.scores), {n}));
}

inline Kind kind_named(const std::string& name) {
  static const char* const names[] = {"float32", "float16", "bfloat16", "int8", "uint8", "bits"};
  for (int i = 0; i < 6; ++i) {
    if (name == names[i]) return static_cast<Kind>(i);
  }
  throw Error(ErrorKind::kParameter,
              "kind '" + name + "' is not one of float32 float16 bfloat16 int8 uint8 bits");
}

inline Metric metric_named(const std::string& name) {
  static const char* const names[] = {"cosine", "ip", "l2", "hamming"};
  for (int i = 0; i < 4; ++i) {
    if (name == names[i]) return static_cast<Metric>(i);
  }
  throw Error(ErrorKind::kParameter, "metric '" + name + "' is not one of cosine ip l2 hamming");
}

inline void require(bool ok, const char* what) {
  if (!ok) throw Error(ErrorKind::kShape, what);
}

// A view of stored rows that keeps its arrays alive.
class RowsView {
 public:
  RowsView(AnyMatrix values, const std::string& kind, std::optional<FloatVector> scales)
      : values_(std::move(values)), scales_(std::move(scales)) {
    rows_.kind = kind_named(kind);
    static const nb::dlpack::dtype types[] = {
        nb::dtype<float>(),       nb::dtype<std::uint16_t>(), nb::dtype<std::uint16_t>(),
        nb::dtype<std::int8_t>(), nb::dtype<std::uint8_t>(),  nb::dtype<std::uint8_t>()};
    if (values_.dtype() != types[static_cast<int>(rows_.kind)]) {
      throw Error(ErrorKind::kParameter,
                  "Rows: the array's dtype does not store kind '" + kind + "'");
    }
    rows_.data = values_.data();
    rows_.n = static_cast<std::int64_t>(values_.shape(0));
    rows_.dim = static_cast<std::int64_t>(values_.shape(1)) * (rows_.kind == Kind::kBits ? 8 : 1);
    if (scales_) {
      require(static_cast<std::int64_t>(scales_->shape(0)) == rows_.n,
              "Rows: one scale a row is needed");
      rows_.scale = scales_->data();
    }
  }
  const Rows& rows() const { return rows_; }

 private:
  AnyMatrix values_;
  std::optional<FloatVector> scales_;
  Rows rows_;
};

inline const double* norms_of(const std::optional<DoubleVector>& norms, const Rows& rows,
                              Metric metric) {
  if (metric == Metric::kHamming) {
    if (rows.kind != Kind::kBits) {
      throw Error(ErrorKind::kParameter, "metric 'hamming' needs rows of kind 'bits'");
    }
    return nullptr;
  }
  if (rows.kind == Kind::kBits) {
    throw Error(ErrorKind::kParameter, "rows of kind 'bits' need metric 'hamming'");
  }
  if (!norms.has_value() || static_cast<std::int64_t>(norms->shape(0)) != rows.n) {
    throw Error(ErrorKind::kShape, "norms: one norm a row is needed");
  }
  return norms->data();
}

template <class T>
nb::ndarray<nb::numpy, const T> view_of(const T* data, std::initializer_list<std::size_t> shape,
                                        nb::handle owner) {
  return nb::ndarray<nb::numpy, const T>(data, shape, owner);
}

// An array of a file, by name, checked.
template <class T, int N>
const T* array_named(const nb::dict& arrays, const char* name,
                     std::initializer_list<std::int64_t> shape) {
  using Array = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
  Array array;
  if (!arrays.contains(name) || !nb::try_cast<Array>(arrays[name], array, false)) {
    throw Error(ErrorKind::kFormat,
                std::string("array '") + name + "' is missing or of another type");
  }
  std::size_t axis = 0;
  for (const std::int64_t extent : shape) {
    if (static_cast<std::int64_t>(array.shape(axis++)) != extent) {
      throw Error(ErrorKind::kFormat, std::string("array '") + name + "' has another shape");
    }
  }
  return array.data();
}

}  // namespace vl
