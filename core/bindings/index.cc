// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "bindings/prepared.h"
#include "bindings/rows.h"
#include "bindings/screen_holder.h"
#include "index/exact.h"
#include "index/scoring.h"
#include "index/screen.h"
#include "simd/panel.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

ExactQuery exact_query(const RowsView& view, const std::optional<DoubleVector>& norms,
                       const ScreenHolder* screen, const std::string& metric,
                       const AnyMatrix& queries, const std::optional<ByteVector>& mask,
                       const std::optional<IntVector>& ties, std::optional<int> n_jobs) {
  ExactQuery query;
  query.rows = view.rows();
  query.metric = metric_named(metric);
  query.norms = norms_of(norms, query.rows, query.metric);
  const bool bits = query.rows.kind == Kind::kBits;
  if (queries.dtype() != (bits ? nb::dtype<std::uint8_t>() : nb::dtype<float>())) {
    throw Error(ErrorKind::kParameter,
                bits ? "queries: packed uint8 expected" : "queries: float32 expected");
  }
  require(static_cast<std::int64_t>(queries.shape(1)) * (bits ? 8 : 1) == query.rows.dim,
          "queries: another dimension than the rows");
  if (screen != nullptr) {
    require(
        screen->screen->shape().n == query.rows.n && screen->screen->shape().dim == query.rows.dim,
        "screen: made for other rows");
    query.screen = screen->screen.get();
  }
  if (mask)
    require(static_cast<std::int64_t>(mask->shape(0)) == query.rows.n, "mask: one byte a row");
  if (ties)
    require(static_cast<std::int64_t>(ties->shape(0)) == query.rows.n, "tie_keys: one a row");
  query.queries = queries.data();
  query.n_queries = static_cast<std::int64_t>(queries.shape(0));
  query.mask = mask ? mask->data() : nullptr;
  query.ties = ties ? ties->data() : nullptr;
  query.n_jobs = resolve_jobs(n_jobs.value_or(0));
  return query;
}

nb::tuple search(const RowsView& rows, std::optional<DoubleVector> norms,
                 const ScreenHolder* screen, const std::string& metric, AnyMatrix queries,
                 std::int64_t k, std::optional<ByteVector> mask, std::optional<IntVector> ties,
                 std::optional<int> n_jobs) {
  const ExactQuery query = exact_query(rows, norms, screen, metric, queries, mask, ties, n_jobs);
  require(k >= 0, "k: must not be negative");
  const auto n = static_cast<std::size_t>(query.n_queries);
  const auto width = static_cast<std::size_t>(k);
  std::vector<std::int64_t> positions(n * width);
  std::vector<double> scores(n * width);
  std::vector<std::int64_t> counts(n);
  {
    const nb::gil_scoped_release release;
    exact_search(query, k, positions.data(), scores.data(), counts.data());
  }
  return nb::make_tuple(owned(std::move(positions), {n, width}),
                        owned(std::move(scores), {n, width}), owned(std::move(counts), {n}));
}

// Scans without a filter, of rows that nobody changes meanwhile.
class ExactSearch {
 public:
  ExactSearch(const RowsView& view, std::optional<DoubleVector> norms, const ScreenHolder* screen,
              const std::string& metric, std::optional<IntVector> ties,
              std::optional<IntVector> ids, std::optional<int> n_jobs)
      : standing_(&view, std::move(norms), metric_named(metric), view.rows().n, view.rows().dim,
                  std::move(ties), std::move(ids)),
        screen_(screen == nullptr ? nullptr : screen->screen.get()),
        n_jobs_(n_jobs.value_or(0)) {
    require(screen_ == nullptr ||
                (screen_->shape().n == view.rows().n && screen_->shape().dim == view.rows().dim),
            "screen: made for other rows");
  }

  nb::object operator()(nb::handle queries, std::int64_t k) const {
    return standing_.answer(queries, k,
                            [&](const float* values, std::int64_t n, std::int64_t* positions,
                                double* scores, std::int64_t* counts) {
                              ExactQuery query;
                              query.rows = standing_.rows();
                              query.norms = standing_.norms();
                              query.screen = screen_;
                              query.metric = standing_.metric();
                              query.queries = values;
                              query.n_queries = n;
                              query.ties = standing_.ties();
                              query.n_jobs = resolve_jobs(n_jobs_);
                              exact_search(query, k, positions, scores, counts);
                            });
  }

 private:
  StandingRows standing_;
  const Screen* screen_;
  int n_jobs_;
};

// Scores of chosen rows, -inf where a position is -1.
nb::ndarray<nb::numpy, double> score_rows(const RowsView& view, std::optional<DoubleVector> norms,
                                          const std::string& metric, AnyMatrix queries,
                                          IntMatrix positions, std::optional<int> n_jobs) {
  const ExactQuery query =
      exact_query(view, norms, nullptr, metric, queries, std::nullopt, std::nullopt, n_jobs);
  const std::size_t n = positions.shape(0);
  const std::size_t m = positions.shape(1);
  require(static_cast<std::int64_t>(n) == query.n_queries, "positions: one row a query");
  for (std::size_t i = 0; i < n * m; ++i) {
    const std::int64_t position = positions.data()[i];
    require(position >= -1 && position < query.rows.n, "positions: outside the rows");
  }
  std::vector<double> out(n * m, -std::numeric_limits<double>::infinity());
  {
    const nb::gil_scoped_release release;
    const std::size_t stride =
        queries.shape(1) * (query.rows.kind == Kind::kBits ? 1 : sizeof(float));
    parallel_for(query.n_queries, query.n_jobs, [&](std::int64_t q, int) {
      const auto row = static_cast<std::size_t>(q);
      const Scorer scorer(query.rows, query.norms, query.metric,
                          static_cast<const std::uint8_t*>(query.queries) + row * stride);
      const std::int64_t* at = positions.data() + row * m;
      for (std::size_t first = 0, last; first < m; first = last + 1) {
        for (last = first; last < m && at[last] >= 0;) ++last;
        scorer.score(at + first, static_cast<std::int64_t>(last - first),
                     out.data() + row * m + first);
      }
    });
  }
  return owned(std::move(out), {n, m});
}

nb::tuple range(const RowsView& rows, std::optional<DoubleVector> norms, const ScreenHolder* screen,
                const std::string& metric, AnyMatrix queries, DoubleVector threshold,
                std::optional<ByteVector> mask, std::optional<IntVector> ties,
                std::optional<int> n_jobs) {
  const ExactQuery query = exact_query(rows, norms, screen, metric, queries, mask, ties, n_jobs);
  require(static_cast<std::int64_t>(threshold.shape(0)) == query.n_queries,
          "threshold: one a query");
  RangeResult result;
  {
    const nb::gil_scoped_release release;
    result = exact_range(query, threshold.data());
  }
  return ranged(std::move(result));
}

nb::tuple knn_graph(const RowsView& view, std::optional<DoubleVector> norms,
                    const ScreenHolder* screen, const std::string& metric, std::int64_t k,
                    std::optional<int> n_jobs) {
  const Rows& rows = view.rows();
  const Metric m = metric_named(metric);
  const double* row_norm = norms_of(norms, rows, m);
  require(k >= 0, "k: must not be negative");
  if (screen != nullptr)
    require(screen->screen->shape().n == rows.n, "screen: made for other rows");
  const auto n = static_cast<std::size_t>(rows.n);
  const auto width = static_cast<std::size_t>(k);
  std::vector<std::int64_t> positions(n * width);
  std::vector<float> scores(n * width);
  {
    const nb::gil_scoped_release release;
    exact_knn_graph(rows, row_norm, screen != nullptr ? screen->screen.get() : nullptr, m, k,
                    resolve_jobs(n_jobs.value_or(0)), positions.data(), scores.data());
  }
  return nb::make_tuple(owned(std::move(positions), {n, width}),
                        owned(std::move(scores), {n, width}));
}

nb::tuple quantize_int8(FloatMatrix x, std::optional<int> n_jobs) {
  const auto n = static_cast<std::int64_t>(x.shape(0));
  const auto dim = static_cast<std::int64_t>(x.shape(1));
  std::vector<std::int8_t> codes(static_cast<std::size_t>(n * dim));
  std::vector<float> scales(static_cast<std::size_t>(n));
  {
    const nb::gil_scoped_release release;
    constexpr std::int64_t kBlock = 1024;
    parallel_for((n + kBlock - 1) / kBlock, resolve_jobs(n_jobs.value_or(0)),
                 [&](std::int64_t task, int) {
                   const std::int64_t last = std::min(n, (task + 1) * kBlock);
                   for (std::int64_t r = task * kBlock; r < last; ++r) {
                     const float* row = x.data() + r * dim;
                     float largest = 0.0F;
                     for (std::int64_t d = 0; d < dim; ++d)
                       largest = std::max(largest, std::abs(row[d]));
                     const float scale = largest > 0.0F ? largest / 127.0F : 1.0F;
                     scales[static_cast<std::size_t>(r)] = scale;
                     for (std::int64_t d = 0; d < dim; ++d) {
                       const float code = std::min(127.0F, std::max(-127.0F, row[d] / scale));
                       codes[static_cast<std::size_t>(r * dim + d)] =
                           static_cast<std::int8_t>(std::lrintf(code));
                     }
                   }
                 });
  }
  return nb::make_tuple(owned(std::move(codes), {x.shape(0), x.shape(1)}),
                        owned(std::move(scales), {x.shape(0)}));
}

nb::ndarray<nb::numpy, float> decode(const RowsView& view, IntVector positions) {
  const Rows& rows = view.rows();
  const std::size_t n = positions.shape(0);
  std::vector<float> out(n * static_cast<std::size_t>(rows.dim));
  for (std::size_t i = 0; i < n; ++i) {
    require(positions.data()[i] >= 0 && positions.data()[i] < rows.n,
            "positions: outside the rows");
  }
  {
    const nb::gil_scoped_release release;
    for (std::size_t i = 0; i < n; ++i) {
      decode_row(rows, positions.data()[i], out.data() + i * static_cast<std::size_t>(rows.dim));
    }
  }
  return owned(std::move(out), {n, static_cast<std::size_t>(rows.dim)});
}

nb::ndarray<nb::numpy, double> norms_array(const RowsView& view, std::optional<int> n_jobs) {
  std::vector<double> out(static_cast<std::size_t>(view.rows().n));
  {
    const nb::gil_scoped_release release;
    row_norms(view.rows(), n_jobs.value_or(0), out.data());
  }
  const std::size_t n = out.size();
  return owned(std::move(out), {n});
}

ScreenHolder build_screen(const RowsView& rows, std::optional<DoubleVector> norms,
                          const std::string& metric, FloatMatrix rotation, double rotation_error,
                          int head_dims, std::optional<FloatVector> center,
                          std::optional<int> n_jobs, std::optional<IntVector> order) {
  const Metric m = metric_named(metric);
  const double* row_norm = norms_of(norms, rows.rows(), m);
  const std::int64_t dim = rows.rows().dim;
  require(static_cast<std::int64_t>(rotation.shape(1)) == dim &&
              static_cast<std::int64_t>(rotation.shape(0)) == (dim + 63) / 64 * 64,
          "rotation: shape (dim rounded up to 64, dim) expected");
  require((m == Metric::kL2) == center.has_value(), "center: needed for l2 and only there");
  if (center)
    require(static_cast<std::int64_t>(center->shape(0)) == dim, "center: one value a dimension");
  for (std::size_t i = 0; order && i < order->shape(0); ++i) {
    require(order->data()[i] >= -1 && order->data()[i] < rows.rows().n, "order: outside the rows");
  }
  ScreenHolder holder;
  const nb::gil_scoped_release release;
  holder.screen = std::make_unique<Screen>(m, dim, head_dims / 4, rotation.data(), rotation_error,
                                           center ? center->data() : nullptr);
  if (order) {
    holder.screen->fill(rows.rows(), row_norm, order->data(),
                        static_cast<std::int64_t>(order->shape(0)), n_jobs.value_or(0));
  } else {
    holder.screen->append(rows.rows(), row_norm, n_jobs.value_or(0));
  }
  return holder;
}

nb::dict screen_arrays(nb::handle_t<ScreenHolder> self) {
  const Screen& s = *nb::cast<const ScreenHolder&>(self).screen;
  const auto rows = static_cast<std::size_t>(s.padded_rows());
  const auto blocks = static_cast<std::size_t>(s.n_blocks());
  const auto rotated = static_cast<std::size_t>(s.rotated_dim());
  const auto dim = static_cast<std::size_t>(s.shape().dim);
  nb::dict out;
  out["rotation"] = view_of(s.rotation(), {rotated, dim}, self);
  if (s.center() != nullptr) out["center"] = view_of(s.center(), {dim}, self);
  out["head"] = view_of(s.head(), {rows, static_cast<std::size_t>(s.head_dim())}, self);
  if (s.rest_dim() != 0) {
    out["rest"] = view_of(s.rest(), {rows, static_cast<std::size_t>(s.rest_dim())}, self);
  }
  out["scale"] = view_of(s.scale(), {rows}, self);
  out["rest_scale"] = view_of(s.rest_scale(), {rows}, self);
  out["tail"] = view_of(s.tail(), {rows}, self);
  if (s.bias() != nullptr) out["bias"] = view_of(s.bias(), {rows}, self);
  out["blocks"] = view_of(reinterpret_cast<const float*>(s.blocks()), {blocks, 4}, self);
  std::vector<double> shape = {static_cast<double>(s.shape().n),
                               static_cast<double>(s.shape().groups),
                               static_cast<double>(s.shape().head_groups),
                               s.shape().kappa,
                               static_cast<double>(static_cast<int>(s.shape().metric)),
                               s.shape().largest_norm};
  out["shape"] = owned(std::move(shape), {6});
  return out;
}

ScreenHolder open_screen(const nb::dict& arrays) {
  const double* numbers = array_named<double, 1>(arrays, "shape", {6});
  ScreenShape shape;
  for (int i = 0; i < 6; ++i) {
    if (!(numbers[i] >= 0.0) || (i < 5 && numbers[i] > 1e15))
      throw Error(ErrorKind::kFormat, "screen: bad shape");
  }
  shape.n = static_cast<std::int64_t>(numbers[0]);
  shape.groups = static_cast<int>(numbers[1]);
  shape.head_groups = static_cast<int>(numbers[2]);
  shape.kappa = numbers[3];
  shape.largest_norm = numbers[5];
  if (numbers[4] > 2.0) throw Error(ErrorKind::kFormat, "screen: bad metric");
  shape.metric = static_cast<Metric>(static_cast<int>(numbers[4]));
  const std::int64_t rotated = static_cast<std::int64_t>(shape.groups) * 4;
  if (shape.groups % 16 != 0 || shape.head_groups % 16 != 0 || shape.groups <= 0 ||
      shape.head_groups <= 0 || shape.head_groups > shape.groups) {
    throw Error(ErrorKind::kFormat, "screen: bad group counts");
  }
  using Rotation = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
  Rotation rotation;
  if (!arrays.contains("rotation") ||
      !nb::try_cast<Rotation>(arrays["rotation"], rotation, false)) {
    throw Error(ErrorKind::kFormat, "screen: array 'rotation' is missing or of another type");
  }
  shape.dim = static_cast<std::int64_t>(rotation.shape(1));
  if (static_cast<std::int64_t>(rotation.shape(0)) != rotated ||
      (shape.dim + 63) / 64 * 64 != rotated) {
    throw Error(ErrorKind::kFormat, "screen: array 'rotation' has another shape");
  }
  const std::int64_t rows = (shape.n + 31) / 32 * 32;
  const std::int64_t head = static_cast<std::int64_t>(shape.head_groups) * 4;
  const bool l2 = shape.metric == Metric::kL2;
  ScreenHolder holder;
  holder.arrays = nb::borrow(arrays);
  holder.screen = std::make_unique<Screen>(
      shape, rotation.data(), l2 ? array_named<float, 1>(arrays, "center", {shape.dim}) : nullptr,
      array_named<std::uint8_t, 2>(arrays, "head", {rows, head}),
      head < rotated ? array_named<std::uint8_t, 2>(arrays, "rest", {rows, rotated - head})
                     : nullptr,
      array_named<float, 1>(arrays, "scale", {rows}),
      array_named<float, 1>(arrays, "rest_scale", {rows}),
      array_named<float, 1>(arrays, "tail", {rows}),
      l2 ? array_named<float, 1>(arrays, "bias", {rows}) : nullptr,
      reinterpret_cast<const BlockMaxima*>(array_named<float, 2>(
          arrays, "blocks", {(shape.n + kScreenBlock - 1) / kScreenBlock, 4})));
  return holder;
}

}  // namespace

void bind_index(nb::module_& m) {
  nb::class_<RowsView>(m, "Rows", "A view of stored vectors: n rows of one element kind.")
      .def(nb::init<AnyMatrix, const std::string&, std::optional<FloatVector>>(), "values"_a,
           "kind"_a, "scales"_a = nb::none())
      .def("__len__", [](const RowsView& v) { return v.rows().n; })
      .def_prop_ro("dim", [](const RowsView& v) { return v.rows().dim; });
  nb::class_<ScreenHolder>(m, "Screen", "An int8 copy of float rows that proposes candidates.")
      .def_static("build", &build_screen, "rows"_a, "norms"_a.none(), "metric"_a, "rotation"_a,
                  "rotation_error"_a, "head_dims"_a, "center"_a = nb::none(),
                  "n_jobs"_a = nb::none(), "order"_a = nb::none())
      .def_static("open", &open_screen, "arrays"_a)
      .def(
          "append",
          [](ScreenHolder& s, const RowsView& rows, std::optional<DoubleVector> norms,
             std::optional<int> n_jobs) {
            const double* row_norm = norms_of(norms, rows.rows(), s.screen->shape().metric);
            const nb::gil_scoped_release release;
            s.screen->append(rows.rows(), row_norm, n_jobs.value_or(0));
          },
          "rows"_a, "norms"_a.none(), "n_jobs"_a = nb::none(), "Encode the rows that are new.")
      .def("arrays", &screen_arrays, "Views of its arrays, for saving.")
      .def("__len__", [](const ScreenHolder& s) { return s.screen->shape().n; })
      .def_prop_ro("head_dims",
                   [](const ScreenHolder& s) { return s.screen->shape().head_groups * 4; })
      .def_prop_ro("nbytes", [](const ScreenHolder& s) { return s.screen->bytes(); });
  m.def("exact_search", &search, "rows"_a, "norms"_a.none(), "screen"_a.none(), "metric"_a,
        "queries"_a, "k"_a, "mask"_a = nb::none(), "tie_keys"_a = nb::none(),
        "n_jobs"_a = nb::none(), "(positions, scores, counts) of the true k best.");
  nb::class_<ExactSearch>(m, "ExactSearch", "Scans of rows that nobody changes, in one call.")
      .def(nb::init<const RowsView&, std::optional<DoubleVector>, const ScreenHolder*,
                    const std::string&, std::optional<IntVector>, std::optional<IntVector>,
                    std::optional<int>>(),
           "rows"_a, "norms"_a.none(), "screen"_a.none(), "metric"_a, "ties"_a.none(),
           "ids"_a.none(), "n_jobs"_a.none(), nb::keep_alive<1, 4>())
      .def("__call__", &ExactSearch::operator(), "queries"_a, "k"_a, kPreparedDoc);
  m.def("exact_range", &range, "rows"_a, "norms"_a.none(), "screen"_a.none(), "metric"_a,
        "queries"_a, "threshold"_a, "mask"_a = nb::none(), "tie_keys"_a = nb::none(),
        "n_jobs"_a = nb::none(),
        "(lims, positions, scores) of all rows whose score is at least the threshold.");
  m.def("score_rows", &score_rows, "rows"_a, "norms"_a.none(), "metric"_a, "queries"_a,
        "positions"_a, "n_jobs"_a = nb::none(),
        "float64 scores (n_queries, m) of the rows at positions (n_queries, m); -1: none there.");
  m.def("exact_knn_graph", &knn_graph, "rows"_a, "norms"_a.none(), "screen"_a.none(), "metric"_a,
        "k"_a, "n_jobs"_a = nb::none(),
        "(positions, scores) of the k nearest other rows of each row.");
  m.def("norms", &norms_array, "rows"_a, "n_jobs"_a = nb::none(),
        "Euclidean norm of each row, float64.");
  m.def("decode", &decode, "rows"_a, "positions"_a, "float32 values of the rows at the positions.");
  m.def("quantize_int8", &quantize_int8, "x"_a, "n_jobs"_a = nb::none(),
        "(codes, scales): each row divided by max|x| / 127 and rounded.");
}

}  // namespace vl
