// SPDX-License-Identifier: Apache-2.0
// A search as most are asked: float32 queries, no filter, an index whose rows all live. What stays
// the same from one to the next is checked once; a call then checks its queries, searches and fills
// what users see. To go through Python for each of these steps takes as long as a walk of a graph.
#pragma once

#include <nanobind/ndarray.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "bindings/rows.h"
#include "index/answers.h"

namespace vl {

inline constexpr const char* kPreparedDoc =
    "(ids, scores, distances, counts), or None where queries need conversion or a message, or one "
    "has fewer than k hits.";

// Arrays that NumPy makes and the core fills: a third of what it takes to hand it memory to wrap.
class NewArrays {
 public:
  static nb::object int64(nb::handle shape, std::int64_t*& data) {
    return filled(shape, known().int64, data);
  }
  static nb::object float32(nb::handle shape, float*& data) {
    return filled(shape, known().float32, data);
  }

 private:
  struct Known {
    nb::object empty, int64, float32;
  };
  // Found once, and kept until the process ends.
  static const Known& known() {
    static const Known* const found = [] {
      const nb::module_ numpy = nb::module_::import_("numpy");
      return new Known{numpy.attr("empty"), numpy.attr("dtype")("int64"),
                       numpy.attr("dtype")("float32")};
    }();
    return *found;
  }
  template <class T>
  static nb::object filled(nb::handle shape, nb::handle dtype, T*& data) {
    PyObject* const given[] = {shape.ptr(), dtype.ptr()};
    nb::object array = nb::steal(PyObject_Vectorcall(known().empty.ptr(), given, 2, nullptr));
    Py_buffer buffer;
    if (!array.is_valid() || PyObject_GetBuffer(array.ptr(), &buffer, PyBUF_WRITABLE) != 0) {
      nb::raise_python_error();
    }
    data = static_cast<T*>(buffer.buf);  // the array's own, for as long as it lives
    PyBuffer_Release(&buffer);
    return array;
  }
};

// The rows of an index as they stand: whoever changes them prepares anew.
class StandingRows {
 public:
  // `view` is null where an index keeps codes alone, of `n` rows of `dim` dimensions.
  StandingRows(const RowsView* view, std::optional<DoubleVector> norms, Metric metric,
               std::int64_t n, std::int64_t dim, std::optional<IntVector> ties,
               std::optional<IntVector> ids)
      : norms_(std::move(norms)), ties_(std::move(ties)), ids_(std::move(ids)), metric_(metric) {
    if (view != nullptr) {
      view_.emplace(*view);
      rows_ = view_->rows();
      norm_ = norms_of(norms_, rows_, metric);
    }
    rows_.n = n;
    rows_.dim = dim;
    const auto one_each = [n](const std::optional<IntVector>& values) {
      return !values || static_cast<std::int64_t>(values->shape(0)) == n;
    };
    require(view == nullptr || (view->rows().n == n && view->rows().dim == dim),
            "rows: of another shape");
    require(one_each(ties_), "ties: one a row");
    require(one_each(ids_), "ids: one a row");
  }

  const Rows& rows() const { return rows_; }
  const double* norms() const { return norm_; }
  Metric metric() const { return metric_; }
  const std::int64_t* ties() const { return ties_ ? ties_->data() : nullptr; }

  // (ids, scores, distances, counts) as users see them, positions in place of ids that the core
  // does not know; None where queries are not plain, or one has fewer than k hits.
  // `find(queries, n, positions, scores, counts)` answers n of them.
  template <class Find>
  nb::object answer(nb::handle queries, std::int64_t k, const Find& find) const {
    FloatMatrix values;
    if (k < 1 || k > rows_.n || !nb::try_cast<FloatMatrix>(queries, values, false) ||
        !plain(values)) {
      return nb::none();
    }
    const std::size_t n = values.shape(0);
    const std::size_t places = n * static_cast<std::size_t>(k);
    std::vector<std::int64_t> positions(places), counts(n);
    std::vector<double> scores(places);
    {
      const nb::gil_scoped_release release;
      find(values.data(), static_cast<std::int64_t>(n), positions.data(), scores.data(),
           counts.data());
    }
    for (const std::int64_t count : counts) {
      if (count < k) return nb::none();
    }
    const nb::tuple shape = nb::make_tuple(n, k);
    std::int64_t *ids, *count;
    float *narrow, *far;
    nb::object of_ids = NewArrays::int64(shape, ids), of_scores = NewArrays::float32(shape, narrow),
               of_distances = NewArrays::float32(shape, far),
               of_counts = NewArrays::int64(nb::int_(n), count);
    for (std::size_t i = 0; i < places; ++i) {
      ids[i] = ids_ ? ids_->data()[positions[i]] : positions[i];
      narrow[i] = narrow_score(scores[i]);
      far[i] = distance_of(scores[i], metric_);
    }
    std::copy(counts.begin(), counts.end(), count);
    return nb::make_tuple(of_ids, of_scores, of_distances, of_counts);
  }

 private:
  // Finite, of the rows' dimension, and of some length under cosine.
  bool plain(const FloatMatrix& queries) const {
    const auto dim = static_cast<std::int64_t>(queries.shape(1));
    if (rows_.kind == Kind::kBits || dim != rows_.dim) return false;
    const float* values = queries.data();
    bool good = true;
    for (std::size_t q = 0; q < queries.shape(0); ++q, values += dim) {
      std::uint32_t largest = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        const std::uint32_t size = std::bit_cast<std::uint32_t>(values[d]) & 0x7fffffffU;
        largest = size > largest ? size : largest;
      }
      good = good && largest < 0x7f800000U && (largest != 0 || metric_ != Metric::kCosine);
    }
    return good;
  }

  std::optional<RowsView> view_;
  std::optional<DoubleVector> norms_;
  std::optional<IntVector> ties_, ids_;
  Metric metric_;
  Rows rows_;
  const double* norm_ = nullptr;
};

}  // namespace vl
