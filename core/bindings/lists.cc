// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "bindings/prepared.h"
#include "bindings/rows.h"
#include "index/lists.h"
#include "index/lists_assign.h"
#include "index/lists_codes.h"
#include "index/lists_lookup.h"
#include "simd/panel.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

using LabelVector = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Codes and centroids with the arrays they look at.
class ListsHolder {
 public:
  ListsHolder(std::unique_ptr<ListCodes> codes, FloatMatrix centroids, nb::object arrays)
      : codes_(std::move(codes)), centroids_(std::move(centroids)), arrays_(std::move(arrays)) {
    const ListShape& shape = codes_->shape();
    require(static_cast<std::int64_t>(centroids_.shape(0)) == shape.n_lists &&
                static_cast<std::int64_t>(centroids_.shape(1)) == shape.dim,
            "centroids: one a list, of the rows' dimension, expected");
    for (std::int64_t at = 0; at < shape.places; ++at)
      largest_ = std::max<std::int64_t>(largest_, codes_->arrays().order[at]);
    lists_ = std::make_unique<Lists>(*codes_, centroids_.data());
  }

  const ListCodes& codes() const { return *codes_; }
  const Lists& lists() const { return *lists_; }
  std::int64_t n_rows() const { return largest_ + 1; }

  nb::tuple search(const RowsView* view, std::optional<DoubleVector> norms, FloatMatrix queries,
                   std::int64_t n_probes, float gap, double caution, double reach, double guess,
                   std::int64_t k, std::optional<ByteVector> mask, std::optional<IntVector> ties,
                   std::optional<int> n_jobs, bool on_disk) const {
    const ExactQuery query = asked(view, norms, queries, mask, ties, n_jobs);
    Probing probing = checked(n_probes, gap, caution, reach, on_disk);
    probing.guess = guess;
    require(k >= 0, "k: must not be negative");
    require(!std::isnan(guess), "guess: a number, or -inf for none, expected");
    const auto n = static_cast<std::size_t>(query.n_queries);
    const auto width = static_cast<std::size_t>(k);
    std::vector<std::int64_t> positions(n * width);
    std::vector<double> scores(n * width);
    std::vector<std::int64_t> counts(n);
    {
      const nb::gil_scoped_release release;
      lists_->search(query, probing, k, positions.data(), scores.data(), counts.data());
    }
    return nb::make_tuple(owned(std::move(positions), {n, width}),
                          owned(std::move(scores), {n, width}), owned(std::move(counts), {n}));
  }

  nb::tuple range(const RowsView* view, std::optional<DoubleVector> norms, FloatMatrix queries,
                  DoubleVector least, std::int64_t n_probes, float gap, double caution,
                  double reach, std::optional<DoubleVector> floors, double along,
                  std::optional<ByteVector> mask, std::optional<IntVector> ties,
                  std::optional<int> n_jobs, bool on_disk) const {
    const ExactQuery query = asked(view, norms, queries, mask, ties, n_jobs);
    Probing probing = checked(n_probes, gap, caution, reach, on_disk);
    require(least.shape(0) == queries.shape(0), "least: one a query");
    require(!floors || floors->shape(0) == queries.shape(0), "floors: one a query");
    probing.floors = floors ? floors->data() : nullptr;
    probing.along = along;
    RangeResult result;
    {
      const nb::gil_scoped_release release;
      result = lists_->range(query, probing, least.data());
    }
    return ranged(std::move(result));
  }

  static Probing checked(std::int64_t n_probes, float gap, double caution, double reach,
                         bool on_disk) {
    require(n_probes >= 0 && gap >= 0.0F && caution >= 0.0 && reach >= 0.0,
            "probing: must not be negative");
    Probing probing;
    probing.n_probes = n_probes;
    probing.gap = gap;
    probing.caution = caution;
    probing.reach = reach;
    probing.on_disk = on_disk;
    return probing;
  }

 private:
  ExactQuery asked(const RowsView* view, const std::optional<DoubleVector>& norms,
                   const FloatMatrix& queries, const std::optional<ByteVector>& mask,
                   const std::optional<IntVector>& ties, std::optional<int> n_jobs) const {
    const ListShape& shape = codes_->shape();
    ExactQuery query;
    query.metric = shape.metric;
    require((view == nullptr) == shape.final, "rows: needed just where codes are not final");
    if (view != nullptr) {
      query.rows = view->rows();
      query.norms = norms_of(norms, query.rows, query.metric);
      require(shape.dim == query.rows.dim && largest_ < query.rows.n, "lists: made for other rows");
    } else {
      query.rows.dim = shape.dim;
      query.rows.n = largest_ + 1;
    }
    require(static_cast<std::int64_t>(queries.shape(1)) == shape.dim,
            "queries: another dimension than the rows");
    if (mask)
      require(static_cast<std::int64_t>(mask->shape(0)) >= query.rows.n, "mask: one byte a row");
    if (ties)
      require(static_cast<std::int64_t>(ties->shape(0)) >= query.rows.n, "tie_keys: one a row");
    query.queries = queries.data();
    query.n_queries = static_cast<std::int64_t>(queries.shape(0));
    query.mask = mask ? mask->data() : nullptr;
    query.ties = ties ? ties->data() : nullptr;
    query.n_jobs = resolve_jobs(n_jobs.value_or(0));
    return query;
  }

  std::unique_ptr<ListCodes> codes_;
  FloatMatrix centroids_;
  nb::object arrays_;
  std::unique_ptr<Lists> lists_;
  std::int64_t largest_ = -1;
};

// Searches without a filter, of lists that hold all rows and that nobody changes meanwhile.
class ListsSearch {
 public:
  ListsSearch(const ListsHolder& lists, const RowsView* view, std::optional<DoubleVector> norms,
              std::optional<IntVector> ties, std::optional<IntVector> ids, bool on_disk,
              std::optional<int> n_jobs)
      : standing_(view, std::move(norms), lists.codes().shape().metric, lists.n_rows(),
                  lists.codes().shape().dim, std::move(ties), std::move(ids)),
        lists_(lists.lists()),
        on_disk_(on_disk),
        n_jobs_(n_jobs.value_or(0)) {
    require((view == nullptr) == lists.codes().shape().final,
            "rows: needed just where codes are not final");
  }

  nb::object operator()(nb::handle queries, std::int64_t k, std::int64_t n_probes, float gap,
                        double caution, double reach, double guess) const {
    Probing probing = ListsHolder::checked(n_probes, gap, caution, reach, on_disk_);
    probing.guess = guess;
    return standing_.answer(queries, k,
                            [&](const float* values, std::int64_t n, std::int64_t* positions,
                                double* scores, std::int64_t* counts) {
                              ExactQuery query;
                              query.rows = standing_.rows();
                              query.norms = standing_.norms();
                              query.metric = standing_.metric();
                              query.queries = values;
                              query.n_queries = n;
                              query.ties = standing_.ties();
                              query.n_jobs = resolve_jobs(n_jobs_);
                              lists_.search(query, probing, k, positions, scores, counts);
                            });
  }

 private:
  StandingRows standing_;
  const Lists& lists_;
  bool on_disk_;
  int n_jobs_;
};

nb::ndarray<nb::numpy, std::int64_t> propose(
    FloatMatrix queries,
    const nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>& columns,
    FloatMatrix products, FloatVector centre_squares, FloatVector gaps, std::int64_t n_probes,
    const nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>& codes,
    IntVector starts, IntVector order, FloatVector squares, const std::string& metric,
    std::int64_t width, std::optional<ByteVector> mask, std::optional<int> n_jobs) {
  LookupLists lists;
  lists.metric = metric_named(metric);
  lists.n_parts = static_cast<int>(codes.shape(1));
  lists.n_lists = static_cast<std::int64_t>(products.shape(1));
  const auto n = static_cast<std::int64_t>(codes.shape(0));
  lists.width = static_cast<std::int64_t>(columns.shape(1));
  const std::size_t n_queries = queries.shape(0);
  require(columns.shape(0) == codes.shape(1) && columns.shape(2) == 256 && codes.shape(1) > 0 &&
              columns.shape(1) > 0,
          "columns: (parts, width, 256) expected, a part a byte of the codes");
  require(queries.shape(1) == columns.shape(0) * columns.shape(1),
          "queries: another dimension than the columns");
  require(products.shape(0) == n_queries && gaps.shape(0) == n_queries,
          "products and gaps: one a query");
  require(static_cast<std::int64_t>(starts.shape(0)) == lists.n_lists + 1 &&
              starts.data()[0] == 0 && starts.data()[lists.n_lists] == n &&
              std::is_sorted(starts.data(), starts.data() + starts.shape(0)),
          "starts: one a list and an end, ascending over the codes");
  require(static_cast<std::int64_t>(order.shape(0)) == n, "order: one a code");
  require(lists.metric == Metric::kIp || static_cast<std::int64_t>(squares.shape(0)) == n,
          "squares: one a code");
  require(lists.metric != Metric::kL2 ||
              static_cast<std::int64_t>(centre_squares.shape(0)) == lists.n_lists,
          "centre_squares: one a list");
  require(width >= 0 && n_probes >= 0, "width and n_probes must not be negative");
  if (mask) {
    for (std::int64_t i = 0; i < n; ++i) {
      require(order.data()[i] >= 0 && order.data()[i] < static_cast<std::int64_t>(mask->shape(0)),
              "mask: one byte a position");
    }
  }
  lists.codes = codes.data();
  lists.columns = columns.data();
  lists.starts = starts.data();
  lists.order = order.data();
  lists.squares = squares.data();
  LookupQuery query;
  query.values = queries.data();
  query.products = products.data();
  query.centre_squares = centre_squares.data();
  query.gaps = gaps.data();
  query.n_queries = static_cast<std::int64_t>(n_queries);
  query.n_probes = n_probes;
  query.mask = mask ? mask->data() : nullptr;
  query.n_jobs = n_jobs.value_or(0);
  const auto wide = static_cast<std::size_t>(width);
  std::vector<std::int64_t> positions(n_queries * wide);
  {
    const nb::gil_scoped_release release;
    propose_by_lookup(lists, query, width, positions.data());
  }
  return owned(std::move(positions), {n_queries, wide});
}

void check_shape(const ListShape& shape) {
  require(shape.head > 0 && shape.head % 64 == 0, "head_dims: a multiple of 64 expected");
  require(shape.rest_bits == 8 || shape.rest_bits == 4, "rest_bits: 8 or 4 expected");
}

ListsHolder build(const RowsView& view, std::optional<DoubleVector> norms,
                  const std::string& metric, FloatMatrix centroids, LabelVector labels,
                  std::optional<LabelVector> others, FloatMatrix rotation, double rotation_error,
                  std::int64_t head_dims, int rest_bits, bool final,
                  std::optional<FloatVector> center, std::optional<int> n_jobs) {
  ListShape shape;
  shape.metric = metric_named(metric);
  const Rows& rows = view.rows();
  const double* row_norms = norms_of(norms, rows, shape.metric);
  shape.dim = rows.dim;
  shape.head = head_dims;
  shape.rest_bits = rest_bits;
  shape.final = final;
  shape.n_lists = static_cast<std::int64_t>(centroids.shape(0));
  check_shape(shape);
  const auto n = static_cast<std::int64_t>(labels.shape(0));
  require(n <= rows.n, "labels: more than rows");
  require(!others || static_cast<std::int64_t>(others->shape(0)) == n, "others: one a label");
  for (std::int64_t r = 0; r < n; ++r) {
    const std::int32_t second = others ? others->data()[r] : -1;
    require(labels.data()[r] >= -1 && labels.data()[r] < shape.n_lists, "labels: unknown list");
    require(second >= -1 && second < shape.n_lists && (second < 0 || second != labels.data()[r]),
            "others: another list than the label's expected");
  }
  require(static_cast<std::int64_t>(rotation.shape(0)) == shape.rotated() &&
              static_cast<std::int64_t>(rotation.shape(1)) == shape.dim,
          "rotation: (head_dims and the rest, dim) expected");
  const bool l2 = shape.metric == Metric::kL2;
  require(l2 == center.has_value(), "center: for l2 alone, and there needed");
  require(!l2 || static_cast<std::int64_t>(center->shape(0)) == shape.dim, "center: (dim,)");
  std::unique_ptr<ListCodes> codes;
  {
    const nb::gil_scoped_release release;
    codes = std::make_unique<ListCodes>(
        shape, rotation.data(), rotation_error, l2 ? center->data() : nullptr, rows, row_norms,
        labels.data(), others ? others->data() : nullptr, n, n_jobs.value_or(0));
  }
  return ListsHolder(std::move(codes), std::move(centroids), nb::none());
}

nb::dict arrays_of(nb::handle_t<ListsHolder> self) {
  const ListCodes& codes = nb::cast<const ListsHolder&>(self).codes();
  const ListShape& shape = codes.shape();
  const ListArrays& a = codes.arrays();
  const auto places = static_cast<std::size_t>(shape.places);
  const auto lists = static_cast<std::size_t>(shape.n_lists);
  const auto dim = static_cast<std::size_t>(shape.dim);
  nb::dict out;
  out["order"] = view_of(a.order, {places}, self);
  if (a.other != nullptr) out["other"] = view_of(a.other, {places}, self);
  out["starts"] = view_of(a.starts, {lists + 1}, self);
  out["head"] = view_of(a.head, {places, static_cast<std::size_t>(shape.head)}, self);
  if (shape.rest() > 0)
    out["rest"] = view_of(a.rest, {places, static_cast<std::size_t>(shape.rest_bytes())}, self);
  out["scale"] = view_of(a.scale, {places}, self);
  out["rest_scale"] = view_of(a.rest_scale, {places}, self);
  out["tail"] = view_of(a.tail, {places}, self);
  if (a.bias != nullptr) out["bias"] = view_of(a.bias, {places}, self);
  out["maxima"] = view_of(reinterpret_cast<const float*>(a.maxima), {lists, 4}, self);
  out["rotation"] = view_of(a.rotation, {static_cast<std::size_t>(shape.rotated()), dim}, self);
  if (a.center != nullptr) out["center"] = view_of(a.center, {dim}, self);
  std::vector<double> numbers = {
      static_cast<double>(static_cast<int>(shape.metric)), static_cast<double>(shape.head),
      static_cast<double>(shape.rest_bits), shape.kappa, shape.final ? 1.0 : 0.0};
  out["shape"] = owned(std::move(numbers), {5});
  return out;
}

void check_format(bool ok, const char* what) {
  if (!ok) throw Error(ErrorKind::kFormat, std::string("lists: ") + what);
}

// What a file says is checked here, once.
ListsHolder open(const nb::dict& arrays, FloatMatrix centroids) {
  const double* numbers = array_named<double, 1>(arrays, "shape", {5});
  ListShape shape;
  const auto whole = [](double value, double most) {
    return value >= 0.0 && value <= most && value == std::floor(value);
  };
  check_format(whole(numbers[0], 2.0) && whole(numbers[1], 1 << 20) &&
                   (numbers[2] == 8.0 || numbers[2] == 4.0) && numbers[3] >= 0.0 &&
                   std::isfinite(numbers[3]) && whole(numbers[4], 1.0),
               "the shape is out of range");
  shape.metric = static_cast<Metric>(static_cast<int>(numbers[0]));
  shape.head = static_cast<std::int64_t>(numbers[1]);
  shape.rest_bits = static_cast<int>(numbers[2]);
  shape.kappa = numbers[3];
  shape.final = numbers[4] == 1.0;
  check_format(shape.head > 0 && shape.head % 64 == 0, "the head has another size");
  shape.n_lists = static_cast<std::int64_t>(centroids.shape(0));
  shape.dim = static_cast<std::int64_t>(centroids.shape(1));
  ListArrays a;
  a.starts = array_named<std::int64_t, 1>(arrays, "starts", {shape.n_lists + 1});
  check_format(a.starts[0] == 0, "places do not start at 0");
  for (std::int64_t i = 0; i < shape.n_lists; ++i) {
    check_format(a.starts[i] <= a.starts[i + 1] && a.starts[i + 1] % (2 * kPanelRows) == 0,
                 "places are not ascending multiples of 32");
  }
  shape.places = a.starts[shape.n_lists];
  const bool l2 = shape.metric == Metric::kL2;
  const auto vector = [&](const char* name) {
    return array_named<float, 1>(arrays, name, {shape.places});
  };
  a.order = array_named<std::int32_t, 1>(arrays, "order", {shape.places});
  if (arrays.contains("other"))
    a.other = array_named<std::int32_t, 1>(arrays, "other", {shape.places});
  for (std::int64_t at = 0; at < shape.places; ++at) {
    check_format(a.order[at] >= -1, "a place has no row");
    check_format(
        a.other == nullptr || (a.other[at] > -2 - shape.n_lists && a.other[at] < shape.n_lists),
        "a place names an unknown list");
  }
  a.head = array_named<std::uint8_t, 2>(arrays, "head", {shape.places, shape.head});
  if (shape.rest() > 0)
    a.rest = array_named<std::uint8_t, 2>(arrays, "rest", {shape.places, shape.rest_bytes()});
  a.scale = vector("scale");
  a.rest_scale = vector("rest_scale");
  a.tail = vector("tail");
  a.bias = l2 ? vector("bias") : nullptr;
  a.maxima = reinterpret_cast<const BlockMaxima*>(
      array_named<float, 2>(arrays, "maxima", {shape.n_lists, 4}));
  a.rotation = array_named<float, 2>(arrays, "rotation", {shape.rotated(), shape.dim});
  a.center = l2 ? array_named<float, 1>(arrays, "center", {shape.dim}) : nullptr;
  return ListsHolder(std::make_unique<ListCodes>(shape, a), std::move(centroids),
                     nb::borrow(arrays));
}

nb::ndarray<nb::numpy, float> decode_places(const ListsHolder& holder, IntVector places) {
  const ListCodes& codes = holder.codes();
  const auto n = static_cast<std::size_t>(places.shape(0));
  const auto width = static_cast<std::size_t>(codes.shape().rotated());
  std::vector<float> out(n * width);
  for (std::size_t i = 0; i < n; ++i) {
    const std::int64_t place = places.data()[i];
    require(place >= 0 && place < codes.shape().places, "places: out of range");
    codes.decode(place, out.data() + i * width);
  }
  return owned(std::move(out), {n, width});
}

nb::tuple assign(FloatMatrix rows, FloatMatrix centroids, bool twice, float weight,
                 std::optional<int> n_jobs) {
  const auto n = static_cast<std::size_t>(rows.shape(0));
  require(rows.shape(1) == centroids.shape(1), "centroids: another dimension than the rows");
  require(centroids.shape(0) > 0, "centroids: at least one expected");
  std::vector<std::int32_t> labels(n), others(twice ? n : 0);
  {
    const nb::gil_scoped_release release;
    assign_lists(rows.data(), static_cast<std::int64_t>(n), centroids.data(),
                 static_cast<std::int64_t>(centroids.shape(0)),
                 static_cast<std::int64_t>(rows.shape(1)), weight, n_jobs.value_or(0),
                 labels.data(), twice ? others.data() : nullptr);
  }
  nb::object second = nb::none();
  if (twice) second = nb::cast(owned(std::move(others), {n}));
  return nb::make_tuple(owned(std::move(labels), {n}), second);
}

}  // namespace

void bind_lists(nb::module_& m) {
  nb::class_<ListsHolder>(m, "Lists", "Coded rows in the order of inverted lists.")
      .def_static("build", &build, "rows"_a, "norms"_a, "metric"_a, "centroids"_a, "labels"_a,
                  "others"_a.none(), "rotation"_a, "rotation_error"_a, "head_dims"_a, "rest_bits"_a,
                  "final"_a, "center"_a = nb::none(), "n_jobs"_a = nb::none())
      .def_static("open", &open, "arrays"_a, "centroids"_a)
      .def("arrays", &arrays_of, "Views of its arrays, for saving.")
      .def_prop_ro("nbytes", [](const ListsHolder& s) { return s.codes().bytes(); })
      .def("decode", &decode_places, "places"_a,
           "Rotated rows (n, rotated) as their codes have them; of unit length under cosine.")
      .def("search", &ListsHolder::search, "rows"_a.none(), "norms"_a.none(), "queries"_a,
           "n_probes"_a, "gap"_a, "caution"_a, "reach"_a, "guess"_a, "k"_a, "mask"_a = nb::none(),
           "tie_keys"_a = nb::none(), "n_jobs"_a = nb::none(), "on_disk"_a = false,
           "(positions, scores, counts) of the k best within each query's probed lists.")
      .def("range", &ListsHolder::range, "rows"_a.none(), "norms"_a.none(), "queries"_a, "least"_a,
           "n_probes"_a, "gap"_a, "caution"_a, "reach"_a, "floors"_a = nb::none(), "along"_a = 0.0,
           "mask"_a = nb::none(), "tie_keys"_a = nb::none(), "n_jobs"_a = nb::none(),
           "on_disk"_a = false,
           "(lims, positions, scores) of the rows of probed lists whose score is at least that.");
  nb::class_<ListsSearch>(m, "ListsSearch", "Searches of lists that nobody changes, in one call.")
      .def(nb::init<const ListsHolder&, const RowsView*, std::optional<DoubleVector>,
                    std::optional<IntVector>, std::optional<IntVector>, bool, std::optional<int>>(),
           "lists"_a, "rows"_a.none(), "norms"_a.none(), "ties"_a.none(), "ids"_a.none(),
           "on_disk"_a, "n_jobs"_a.none(), nb::keep_alive<1, 2>())
      .def("__call__", &ListsSearch::operator(), "queries"_a, "k"_a, "n_probes"_a, "gap"_a,
           "caution"_a, "reach"_a, "guess"_a, kPreparedDoc);
  m.def("assign_lists", &assign, "rows"_a, "centroids"_a, "twice"_a, "weight"_a = 1.0F,
        "n_jobs"_a = nb::none(),
        "(labels, others): the list of the nearest centroid, and a second one or None.");
  m.def("propose_by_lookup", &propose, "queries"_a, "columns"_a, "products"_a, "centre_squares"_a,
        "gaps"_a, "n_probes"_a, "codes"_a, "starts"_a, "order"_a, "squares"_a, "metric"_a,
        "width"_a, "mask"_a = nb::none(), "n_jobs"_a = nb::none(),
        "Positions (n_queries, width) of the best rows of probed lists by product codes.");
}

}  // namespace vl
