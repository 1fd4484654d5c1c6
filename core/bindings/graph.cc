// SPDX-License-Identifier: Apache-2.0
// The proximity graph: `_core.GraphCore`.
#include <nanobind/nanobind.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>

#include "base/errors.h"
#include "bindings/bindings.h"
#include "bindings/prepared.h"
#include "bindings/rows.h"
#include "index/graph.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

template <class T, int N>
using Array = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

void expect(bool ok, ErrorKind kind, const std::string& message) {
  if (!ok) throw Error(kind, message);
}

void expect_option(int value, const char* name, int low, int high) {
  expect(value >= low && value <= high, ErrorKind::kParameter,
         std::string(name) + ": expected " + std::to_string(low) + ".." + std::to_string(high));
}

// A graph and the arrays of a file that it may look at.
class GraphHolder {
 public:
  GraphHolder(const RowsView& view, std::optional<DoubleVector> norms, const std::string& metric,
              float radius, FloatMatrix matrix, FloatVector origin, int head_bits,
              std::int64_t head_dim, int degree, int candidates, int probes, int list_rows,
              int entries, float alpha, int refined, int first_degree, std::uint64_t seed,
              std::optional<int> n_jobs, std::string folder, std::optional<std::size_t> room) {
    const Points points = points_of(view, norms, metric, radius);
    expect(points.n() > 0 && points.n() < 0x7FFFFFFF, ErrorKind::kShape,
           "a graph needs 1 to 2^31 - 2 rows");
    space(points.dim(), matrix, origin, head_bits, head_dim);
    expect_option(degree, "degree", 2, 128);
    expect_option(candidates, "candidates", 1, 128);
    expect_option(refined, "refined", 0, 128);
    expect_option(first_degree, "first_degree", 2, 128);
    expect(probes >= 1 && list_rows >= 1 && entries >= 1, ErrorKind::kParameter,
           "probes, list_rows and entries must be positive");
    expect(alpha >= 1.0F, ErrorKind::kParameter, "alpha: expected at least 1");
    GraphOptions options;
    options.degree = degree;
    options.candidates = candidates;
    options.probes = probes;
    options.list_rows = list_rows;
    options.entries = entries;
    options.alpha = alpha;
    options.head_dim = head_dim;
    options.head_bits = head_bits;
    options.refined = refined;
    options.first_degree = first_degree;
    options.seed = seed;
    options.n_jobs = n_jobs.value_or(0);
    options.folder = std::move(folder);
    if (room) options.room = *room;
    const nb::gil_scoped_release release;
    graph_ = std::make_unique<Graph>(
        points, matrix.data(), static_cast<std::int64_t>(matrix.shape(0)), origin.data(), options);
  }

  // Views of a file's arrays, or their copies. Everything is checked: what a file says must not
  // lead outside of it.
  GraphHolder(const nb::dict& arrays, FloatMatrix matrix, FloatVector origin, int head_bits,
              std::int64_t head_dim, std::int64_t n_rows, bool copy)
      : arrays_(copy ? nb::dict() : arrays) {
    const auto dim = static_cast<std::int64_t>(matrix.shape(1));
    space(dim, matrix, origin, head_bits, head_dim);
    const auto links = array_named<std::uint32_t, 2>(arrays, "links");
    const auto codes = array_named<std::uint8_t, 2>(arrays, "codes");
    const auto row_of = array_named<std::int32_t, 1>(arrays, "row_of");
    const auto twins = array_named<std::int32_t, 1>(arrays, "twins");
    const auto entries = array_named<std::uint32_t, 1>(arrays, "entries");
    const auto n = static_cast<std::int64_t>(row_of.shape(0));
    const auto bad = [](bool ok, const char* what) { expect(ok, ErrorKind::kFormat, what); };
    bad(n > 0 && static_cast<std::int64_t>(links.shape(0)) == n &&
            static_cast<std::int64_t>(codes.shape(0)) == n && links.shape(1) >= 2 &&
            links.shape(1) <= 128 && entries.shape(0) >= 1 &&
            static_cast<std::int64_t>(twins.shape(0)) <= n_rows,
        "graph: arrays of sizes that do not belong together");
    bad(static_cast<std::int64_t>(codes.shape(1)) == HeadCodes::stride_of(head_dim, head_bits),
        "graph: codes of another width");
    const std::size_t n_links = links.shape(0) * links.shape(1);
    bool good = true;
    for (std::size_t i = 0; i < n_links; ++i) {
      const std::uint32_t node = links.data()[i];
      good = good && (node < n || node == kNoNode);
    }
    bad(good, "graph: a link to a node that is not there");
    for (std::size_t i = 0; i < entries.shape(0); ++i) good = good && entries.data()[i] < n;
    bad(good, "graph: an entry that is not there");
    for (std::int64_t i = 0; i < n; ++i) {
      good = good && row_of.data()[i] >= 0 && row_of.data()[i] < n_rows;
    }
    bad(good && chains_end(twins, n_rows), "graph: rows that are not there");
    Graph::Parts parts;
    const auto width = static_cast<std::int64_t>(links.shape(1));
    parts.links = table(links.data(), n, width, copy);
    parts.codes = table(codes.data(), n, static_cast<std::int64_t>(codes.shape(1)), copy);
    parts.row_of = table(row_of.data(), n, 1, copy);
    parts.twins = table(twins.data(), static_cast<std::int64_t>(twins.shape(0)), 1, copy);
    parts.entries.assign(entries.data(), entries.data() + entries.shape(0));
    parts.head_dim = head_dim;
    parts.head_bits = head_bits;
    graph_ =
        std::make_unique<Graph>(std::move(parts), matrix.data(),
                                static_cast<std::int64_t>(matrix.shape(0)), dim, origin.data());
  }

  nb::tuple search(const RowsView& view, std::optional<DoubleVector> norms,
                   const std::string& metric, float radius, FloatMatrix queries, std::int64_t k,
                   std::int64_t effort, float reach, std::optional<ByteVector> mask,
                   std::int64_t n_matches, std::int64_t budget, std::optional<IntVector> ties,
                   std::optional<IntVector> without, bool on_disk,
                   std::optional<int> n_jobs) const {
    const Points points = points_of(view, norms, metric, radius);
    expect(k >= 0, ErrorKind::kParameter, "k must not be negative");
    GraphQuery query =
        asked(points, queries, effort, reach, mask, n_matches, budget, ties, on_disk, n_jobs);
    if (without) {
      require(without->shape(0) == queries.shape(0), "without: one node a query");
      for (std::size_t i = 0; i < without->shape(0); ++i) {
        require(without->data()[i] >= 0 && without->data()[i] < graph_->n(), "without: no node");
      }
      query.without = without->data();
    }
    const std::size_t n = queries.shape(0);
    const auto width = static_cast<std::size_t>(k);
    std::vector<std::int64_t> positions(n * width);
    std::vector<double> scores(n * width);
    std::vector<std::int64_t> counts(n);
    {
      const nb::gil_scoped_release release;
      graph_->search(points, query, k, positions.data(), scores.data(), counts.data());
    }
    return nb::make_tuple(owned(std::move(positions), {n, width}),
                          owned(std::move(scores), {n, width}), owned(std::move(counts), {n}));
  }

  nb::tuple range(const RowsView& view, std::optional<DoubleVector> norms,
                  const std::string& metric, float radius, FloatMatrix queries, DoubleVector least,
                  std::int64_t effort, float reach, std::optional<ByteVector> mask,
                  std::int64_t n_matches, std::int64_t budget, std::optional<IntVector> ties,
                  bool on_disk, std::optional<int> n_jobs) const {
    const Points points = points_of(view, norms, metric, radius);
    const GraphQuery query =
        asked(points, queries, effort, reach, mask, n_matches, budget, ties, on_disk, n_jobs);
    expect(reach > 0.0F, ErrorKind::kParameter, "reach must be above 0");
    require(least.shape(0) == queries.shape(0), "least: one a query");
    std::vector<std::uint8_t> done(queries.shape(0));
    RangeResult result;
    {
      const nb::gil_scoped_release release;
      result = graph_->range(points, query, least.data(), done.data());
    }
    const std::size_t n = done.size();
    return nb::make_tuple(ranged(std::move(result)), owned(std::move(done), {n}));
  }

  // The graph, once it is known to fit these points.
  const Graph& of(const Points& points) const {
    fits(points);
    return *graph_;
  }

  void insert(const RowsView& view, std::optional<DoubleVector> norms, const std::string& metric,
              float radius, std::int64_t first, float alpha, std::optional<int> n_jobs) {
    const Points points = points_of(view, norms, metric, radius);
    fits(points);
    require(first >= 0 && first <= points.n() && points.n() < 0x7FFFFFFF,
            "first: outside the rows");
    const nb::gil_scoped_release release;
    graph_->insert(points, first, points.n(), alpha, n_jobs.value_or(0));
  }

  bool compact(IntVector moved, std::optional<int> n_jobs) {
    for (const std::int32_t row : rows_in_use()) {
      require(row < static_cast<std::int64_t>(moved.shape(0)), "moved: one a row");
    }
    const nb::gil_scoped_release release;
    return graph_->compact(moved.data(), static_cast<std::int64_t>(moved.shape(0)),
                           n_jobs.value_or(0));
  }

  // Views that keep the graph alive, valid until it changes.
  static nb::dict arrays(nb::handle_t<GraphHolder> self) {
    const Graph& graph = *nb::cast<const GraphHolder&>(self).graph_;
    nb::dict out;
    const auto n = static_cast<std::size_t>(graph.n());
    out["links"] =
        view(graph.links().data(), {n, static_cast<std::size_t>(graph.links().width())}, self);
    out["codes"] =
        view(graph.head().rows.data(), {n, static_cast<std::size_t>(graph.head().stride())}, self);
    out["row_of"] = view(graph.row_of().data(), {n}, self);
    out["twins"] = view(graph.twins().data(), {static_cast<std::size_t>(graph.twins().n())}, self);
    out["entries"] = view(graph.entries().data(), {graph.entries().size()}, self);
    return out;
  }

  nb::dict times() const {
    const GraphTimes& t = graph_->times();
    nb::dict out;
    out["cluster"] = t.cluster;
    out["encode"] = t.encode;
    out["knn"] = t.knn;
    out["prune"] = t.prune;
    out["join"] = t.join;
    out["refine"] = t.refine;
    out["link"] = t.link;
    return out;
  }

  std::int64_t degree() const { return graph_->links().width(); }
  std::size_t nbytes() const { return graph_->bytes(); }
  std::int64_t size() const { return graph_->n(); }
  std::int64_t unreached() const {
    const nb::gil_scoped_release release;
    return graph_->unreached();
  }

 private:
  static Points points_of(const RowsView& view, const std::optional<DoubleVector>& norms,
                          const std::string& metric, float radius) {
    const Metric m = metric_named(metric);
    expect(m != Metric::kHamming, ErrorKind::kParameter, "metric: a graph takes cosine, ip or l2");
    expect(std::isfinite(radius) && radius >= 0.0F, ErrorKind::kParameter, "radius: bad number");
    return Points(view.rows(), norms_of(norms, view.rows(), m), m, radius);
  }

  GraphQuery asked(const Points& points, const FloatMatrix& queries, std::int64_t effort,
                   float reach, const std::optional<ByteVector>& mask, std::int64_t n_matches,
                   std::int64_t budget, const std::optional<IntVector>& ties, bool on_disk,
                   std::optional<int> n_jobs) const {
    fits(points);
    require(static_cast<std::int64_t>(queries.shape(1)) == points.rows().dim,
            "queries: another dimension than the rows");
    expect(effort >= 1 && reach >= 0.0F && budget >= 0, ErrorKind::kParameter,
           "effort, reach and budget must not be negative, and effort not 0");
    if (mask) require(static_cast<std::int64_t>(mask->shape(0)) == points.n(), "mask: one a row");
    if (ties) require(static_cast<std::int64_t>(ties->shape(0)) == points.n(), "ties: one a row");
    GraphQuery query;
    query.queries = queries.data();
    query.n_queries = static_cast<std::int64_t>(queries.shape(0));
    query.mask = mask ? mask->data() : nullptr;
    query.n_matches = n_matches;
    query.ties = ties ? ties->data() : nullptr;
    query.effort = effort;
    query.reach = reach;
    query.budget = budget;
    query.on_disk = on_disk;
    query.n_jobs = n_jobs.value_or(0);
    return query;
  }

  static void space(std::int64_t dim, const FloatMatrix& matrix, const FloatVector& origin,
                    int head_bits, std::int64_t head_dim) {
    expect(static_cast<std::int64_t>(matrix.shape(1)) == dim &&
               static_cast<std::int64_t>(origin.shape(0)) == dim && matrix.shape(0) >= 1,
           ErrorKind::kShape, "matrix and origin must have as many columns as the points");
    expect(head_bits == 4 || head_bits == 8 || head_bits == 32, ErrorKind::kParameter,
           "head_bits: expected 4, 8 or 32");
    expect(head_dim >= 1 && head_dim <= static_cast<std::int64_t>(matrix.shape(0)) &&
               (head_bits != 4 || head_dim % 2 == 0),
           ErrorKind::kParameter,
           "head_dim: expected a number up to the rows of the matrix, even for 4 bits");
  }

  void fits(const Points& points) const {
    require(points.dim() == graph_->dim(), "rows: of another dimension than the graph");
    if (points.n() == known_rows_) return;
    for (const std::int32_t row : rows_in_use()) {
      require(row < points.n(), "rows: fewer than the graph was made of");
    }
    known_rows_ = points.n();
  }

  std::vector<std::int32_t> rows_in_use() const {
    const Table<std::int32_t>& rows = graph_->row_of();
    const Table<std::int32_t>& twins = graph_->twins();
    std::vector<std::int32_t> out(rows.data(), rows.data() + rows.n());
    if (!twins.empty()) out.push_back(static_cast<std::int32_t>(twins.n() - 1));
    return out;
  }

  // Whether chains of equal rows stay within the rows and end: no row has two before it, and so a
  // chain that comes back would have no beginning among the nodes' rows; those are walked here.
  static bool chains_end(const Array<std::int32_t, 1>& twins, std::int64_t n_rows) {
    std::vector<std::uint8_t> pointed(twins.shape(0), 0);
    for (std::size_t i = 0; i < twins.shape(0); ++i) {
      const std::int32_t next = twins.data()[i];
      if (next < -1 || next >= n_rows) return false;
      if (next < 0 || static_cast<std::size_t>(next) >= twins.shape(0)) continue;
      if (pointed[static_cast<std::size_t>(next)]++ != 0) return false;
    }
    std::size_t ended = 0;
    for (std::size_t i = 0; i < twins.shape(0); ++i) {
      if (pointed[i] != 0) continue;
      std::int64_t at = static_cast<std::int64_t>(i);
      while (at >= 0 && at < static_cast<std::int64_t>(twins.shape(0))) {
        ++ended;
        at = twins.data()[at];
      }
    }
    return ended == twins.shape(0);  // whatever was not met lies on a ring
  }

  template <class T, int N>
  static Array<T, N> array_named(const nb::dict& arrays, const char* name) {
    Array<T, N> array;
    expect(arrays.contains(name) && nb::try_cast<Array<T, N>>(arrays[name], array, false),
           ErrorKind::kFormat,
           std::string("graph: array '") + name + "' is missing or of another type");
    return array;
  }

  template <class T>
  static Table<T> table(const T* data, std::int64_t n, std::int64_t width, bool copy) {
    if (!copy) return Table<T>::view(data, n, width);
    Table<T> own(n, width);
    std::copy_n(data, n * width, own.of(0));
    return own;
  }

  template <class T>
  static nb::ndarray<nb::numpy, const T> view(const T* data,
                                              std::initializer_list<std::size_t> shape,
                                              nb::handle owner) {
    return nb::ndarray<nb::numpy, const T>(data, shape, owner);
  }

  nb::dict arrays_;
  std::unique_ptr<Graph> graph_;
  mutable std::int64_t known_rows_ = -1;
};

// Walks without a filter, of a graph and rows that nobody changes meanwhile.
class GraphSearch {
 public:
  GraphSearch(const GraphHolder& graph, const RowsView& view, std::optional<DoubleVector> norms,
              const std::string& metric, float radius, std::optional<IntVector> ties,
              std::optional<IntVector> ids, bool on_disk, std::optional<int> n_jobs)
      : standing_(&view, std::move(norms), metric_named(metric), view.rows().n, view.rows().dim,
                  std::move(ties), std::move(ids)),
        points_(standing_.rows(), standing_.norms(), standing_.metric(), radius),
        graph_(graph.of(points_)),
        on_disk_(on_disk),
        n_jobs_(n_jobs.value_or(0)) {}

  nb::object operator()(nb::handle queries, std::int64_t k, std::int64_t effort,
                        float reach) const {
    expect(effort >= 1 && reach >= 0.0F, ErrorKind::kParameter,
           "effort must be above 0 and reach not negative");
    return standing_.answer(queries, k,
                            [&](const float* values, std::int64_t n, std::int64_t* positions,
                                double* scores, std::int64_t* counts) {
                              GraphQuery query;
                              query.queries = values;
                              query.n_queries = n;
                              query.ties = standing_.ties();
                              query.effort = effort;
                              query.reach = reach;
                              query.on_disk = on_disk_;
                              query.n_jobs = n_jobs_;
                              graph_.search(points_, query, k, positions, scores, counts);
                            });
  }

 private:
  StandingRows standing_;
  Points points_;
  const Graph& graph_;
  bool on_disk_;
  int n_jobs_;
};

}  // namespace

void bind_graph(nb::module_& m) {
  nb::class_<GraphHolder>(m, "GraphCore",
                          "A proximity graph of rows that stay where they are; every call names "
                          "them again.")
      .def(nb::init<const RowsView&, std::optional<DoubleVector>, const std::string&, float,
                    FloatMatrix, FloatVector, int, std::int64_t, int, int, int, int, int, float,
                    int, int, std::uint64_t, std::optional<int>, std::string,
                    std::optional<std::size_t>>(),
           "rows"_a, "norms"_a.none(), "metric"_a, "radius"_a, "matrix"_a, "origin"_a,
           "head_bits"_a, "head_dim"_a, "degree"_a = 48, "candidates"_a = 48, "probes"_a = 48,
           "list_rows"_a = 256, "entries"_a = 256, "alpha"_a = 1.1F, "refined"_a = 64,
           "first_degree"_a = 32, "seed"_a = 0, "n_jobs"_a = nb::none(), "folder"_a = "",
           "room"_a = nb::none())
      .def_static(
          "open",
          [](const nb::dict& arrays, FloatMatrix matrix, FloatVector origin, int head_bits,
             std::int64_t head_dim, std::int64_t n_rows, bool copy) {
            return GraphHolder(arrays, std::move(matrix), std::move(origin), head_bits, head_dim,
                               n_rows, copy);
          },
          "arrays"_a, "matrix"_a, "origin"_a, "head_bits"_a, "head_dim"_a, "n_rows"_a,
          "copy"_a = false, "The graph of a file's arrays, which it looks at or copies.")
      .def("search", &GraphHolder::search, "rows"_a, "norms"_a.none(), "metric"_a, "radius"_a,
           "queries"_a, "k"_a, "effort"_a, "reach"_a = 0.0F, "mask"_a = nb::none(),
           "n_matches"_a = 0, "budget"_a = 0, "ties"_a = nb::none(), "without"_a = nb::none(),
           "on_disk"_a = false, "n_jobs"_a = nb::none(),
           "Positions, scores and counts; a count is -1 beyond the budget.")
      .def("range", &GraphHolder::range, "rows"_a, "norms"_a.none(), "metric"_a, "radius"_a,
           "queries"_a, "least"_a, "effort"_a, "reach"_a, "mask"_a = nb::none(), "n_matches"_a = 0,
           "budget"_a = 0, "ties"_a = nb::none(), "on_disk"_a = false, "n_jobs"_a = nb::none(),
           "(lims, positions, scores) of rows whose score is at least that, and whether each query "
           "was done.")
      .def("insert", &GraphHolder::insert, "rows"_a, "norms"_a.none(), "metric"_a, "radius"_a,
           "first"_a, "alpha"_a = 1.1F, "n_jobs"_a = nb::none(), "Takes rows in, from `first` on.")
      .def("compact", &GraphHolder::compact, "moved"_a, "n_jobs"_a = nb::none(),
           "Follows rows to their new positions, -1 for removed ones; False: none is left.")
      .def("arrays", &GraphHolder::arrays, "Views of all a file needs, valid until a change.")
      .def("times", &GraphHolder::times, "Seconds of each phase of the build.")
      .def("unreached", &GraphHolder::unreached, "Nodes no entry leads to.")
      .def("__len__", &GraphHolder::size, "Nodes: rows that differ.")
      .def_prop_ro("nbytes", &GraphHolder::nbytes)
      .def_prop_ro("degree", &GraphHolder::degree, "Links a node has at most.");
  nb::class_<GraphSearch>(m, "GraphSearch", "Walks of a graph that nobody changes, in one call.")
      .def(nb::init<const GraphHolder&, const RowsView&, std::optional<DoubleVector>,
                    const std::string&, float, std::optional<IntVector>, std::optional<IntVector>,
                    bool, std::optional<int>>(),
           "graph"_a, "rows"_a, "norms"_a.none(), "metric"_a, "radius"_a, "ties"_a.none(),
           "ids"_a.none(), "on_disk"_a, "n_jobs"_a.none(), nb::keep_alive<1, 2>())
      .def("__call__", &GraphSearch::operator(), "queries"_a, "k"_a, "effort"_a, "reach"_a,
           kPreparedDoc);
}

}  // namespace vl
