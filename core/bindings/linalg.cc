// SPDX-License-Identifier: Apache-2.0
// Products of whole matrices.
#include "linalg/matmul.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <memory>
#include <optional>

#include "base/aligned.h"
#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "linalg/finite.h"
#include "linalg/gram.h"
#include "linalg/hadamard.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Signs = nb::ndarray<const std::int8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<2>> as_array(AlignedBuffer<T>&& buffer, std::size_t rows,
                                                std::size_t columns) {
  auto owned = std::make_unique<AlignedBuffer<T>>(std::move(buffer));
  T* data = owned->data();
  nb::capsule owner(owned.release(),
                    [](void* p) noexcept { delete static_cast<AlignedBuffer<T>*>(p); });
  return {data, {rows, columns}, owner};
}

std::int64_t size(std::size_t n) { return static_cast<std::int64_t>(n); }

auto matmul_of(const Matrix& a, const Matrix& b, std::optional<int> n_jobs) {
  if (a.shape(1) != b.shape(1)) {
    throw Error(ErrorKind::kShape, "matmul: rows of A have " + std::to_string(a.shape(1)) +
                                       " entries and rows of B " + std::to_string(b.shape(1)));
  }
  AlignedBuffer<float> out(a.shape(0) * b.shape(0));
  {
    const nb::gil_scoped_release release;
    matmul(a.data(), size(a.shape(0)), b.data(), size(b.shape(0)), size(a.shape(1)), out.data(),
           resolve_jobs(n_jobs.value_or(0)));
  }
  return as_array(std::move(out), a.shape(0), b.shape(0));
}

auto gram_of(const Matrix& x, const std::optional<Vector>& mean, std::optional<int> n_jobs) {
  if (mean && mean->shape(0) != x.shape(1)) {
    throw Error(ErrorKind::kShape, "gram: the mean must have one entry a column");
  }
  AlignedBuffer<double> out(x.shape(1) * x.shape(1));
  {
    const nb::gil_scoped_release release;
    gram(x.data(), size(x.shape(0)), size(x.shape(1)), mean ? mean->data() : nullptr, out.data(),
         resolve_jobs(n_jobs.value_or(0)));
  }
  return as_array(std::move(out), x.shape(1), x.shape(1));
}

auto moments_of(const Matrix& x, std::optional<int> n_jobs) {
  if (x.shape(0) == 0) throw Error(ErrorKind::kShape, "moments: there are no rows");
  AlignedBuffer<double> mean(x.shape(1));
  AlignedBuffer<double> out(x.shape(1) * x.shape(1));
  {
    const nb::gil_scoped_release release;
    moments(x.data(), size(x.shape(0)), size(x.shape(1)), mean.data(), out.data(),
            resolve_jobs(n_jobs.value_or(0)));
  }
  return nb::make_tuple(as_array(std::move(mean), 1, x.shape(1)),
                        as_array(std::move(out), x.shape(1), x.shape(1)));
}

auto hadamard_of(const Matrix& x, const Signs& signs, bool inverse, std::optional<int> n_jobs) {
  if (signs.shape(1) != x.shape(1)) {
    throw Error(ErrorKind::kShape, "hadamard: signs must have one column a dimension");
  }
  AlignedBuffer<float> out(x.shape(0) * x.shape(1));
  {
    const nb::gil_scoped_release release;
    (inverse ? hadamard_inverse : hadamard)(x.data(), size(x.shape(0)), size(x.shape(1)),
                                            signs.data(), static_cast<int>(signs.shape(0)),
                                            out.data(), resolve_jobs(n_jobs.value_or(0)));
  }
  return as_array(std::move(out), x.shape(0), x.shape(1));
}

template <class Float>
bool all_finite_of(const nb::ndarray<const Float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& x) {
  const nb::gil_scoped_release release;
  return all_finite(x.data(), size(x.size()));
}

bool any_zero_row_of(
    const nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>& x) {
  return any_zero_row(x.data(), size(x.shape(0)), size(x.shape(1)));
}

}  // namespace

void bind_linalg(nb::module_& m) {
  m.def("matmul", &matmul_of, "a"_a, "b"_a, "n_jobs"_a = nb::none(),
        "A @ B.T in float32; an element depends on its two rows alone.");
  m.def("gram", &gram_of, "x"_a, "mean"_a = nb::none(), "n_jobs"_a = nb::none(),
        "(X - mean).T @ (X - mean) in float64.");
  m.def("moments", &moments_of, "x"_a, "n_jobs"_a = nb::none(),
        "(mean, (X - mean).T @ (X - mean)) in float64; the mean has shape (1, dim).");
  m.def("hadamard", &hadamard_of, "x"_a, "signs"_a, "inverse"_a = false, "n_jobs"_a = nb::none(),
        "Rotate rows by signs and Walsh-Hadamard transforms; signs is int8 (rounds, dim).");
  m.def("all_finite", &all_finite_of<float>, nb::arg("x").noconvert(),
        "Whether there is neither NaN nor infinity.");
  m.def("all_finite", &all_finite_of<double>, nb::arg("x").noconvert());
  m.def("any_zero_row", &any_zero_row_of, nb::arg("x").noconvert(),
        "Whether some row has nothing but zeros.");
}

}  // namespace vl
