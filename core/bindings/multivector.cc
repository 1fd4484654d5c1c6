// SPDX-License-Identifier: Apache-2.0
// Late interaction and its fixed-dimensional encodings.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "bindings/rows.h"
#include "bindings/screen_holder.h"
#include "index/fde.h"
#include "index/maxsim.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

std::int64_t size(std::size_t n) { return static_cast<std::int64_t>(n); }

// Offsets of runs within n rows: ascending from 0 or more to at most n.
void check_offsets(const IntVector& offsets, std::int64_t n, const char* name) {
  const std::int64_t* at = offsets.data();
  const std::size_t count = offsets.shape(0);
  bool good = count >= 1 && at[0] >= 0 && at[count - 1] <= n;
  for (std::size_t i = 1; good && i < count; ++i) good = at[i] >= at[i - 1];
  if (!good) {
    throw Error(ErrorKind::kShape,
                std::string(name) + ": ascending numbers from 0 to the number of rows expected");
  }
}

// Every item has a row: a maximum over none is undefined.
void check_filled(const IntVector& offsets) {
  for (std::size_t i = 1; i < offsets.shape(0); ++i) {
    require(offsets.data()[i] > offsets.data()[i - 1], "offsets: an item without vectors");
  }
}

// The arguments of one call, checked.
struct Call {
  MaxSimItems items;
  MaxSimQueries queries;
};

struct Items {
  const RowsView* rows;
  std::optional<DoubleVector> norms;
  const ScreenHolder* screen;
  std::string metric;
  IntVector offsets;
  std::optional<ByteVector> mask;
  std::optional<IntVector> ties;
};

Call checked(const Items& held, const FloatMatrix& queries, const IntVector& query_offsets) {
  Call call;
  MaxSimItems& items = call.items;
  items.rows = held.rows->rows();
  items.metric = metric_named(held.metric);
  if (items.metric != Metric::kIp && items.metric != Metric::kCosine) {
    throw Error(ErrorKind::kParameter, "metric: 'ip' or 'cosine' expected");
  }
  items.norms = norms_of(held.norms, items.rows, items.metric);
  check_offsets(held.offsets, items.rows.n, "offsets");
  check_filled(held.offsets);
  items.offsets = held.offsets.data();
  items.n = size(held.offsets.shape(0)) - 1;
  if (held.screen != nullptr) {
    const ScreenShape& shape = held.screen->screen->shape();
    require(shape.n == items.rows.n && shape.dim == items.rows.dim, "screen: made for other rows");
    require(shape.metric == items.metric, "screen: made for another metric");
    items.screen = held.screen->screen.get();
  }
  if (held.mask) require(size(held.mask->shape(0)) == items.n, "mask: one byte an item");
  if (held.ties) require(size(held.ties->shape(0)) == items.n, "tie_keys: one an item");
  items.mask = held.mask ? held.mask->data() : nullptr;
  items.ties = held.ties ? held.ties->data() : nullptr;
  require(size(queries.shape(1)) == items.rows.dim, "queries: another dimension than the rows");
  check_offsets(query_offsets, size(queries.shape(0)), "query_offsets");
  check_filled(query_offsets);
  call.queries = {queries.data(), query_offsets.data(), size(query_offsets.shape(0)) - 1};
  return call;
}

template <class Find>
nb::tuple answered(std::int64_t n_queries, std::int64_t k, const Find& find) {
  require(k >= 0, "k: must not be negative");
  const auto n = static_cast<std::size_t>(n_queries);
  const auto width = static_cast<std::size_t>(k);
  std::vector<std::int64_t> positions(n * width);
  std::vector<double> scores(n * width);
  std::vector<std::int64_t> counts(n);
  {
    const nb::gil_scoped_release release;
    find(MaxSimAnswer{positions.data(), scores.data(), counts.data()});
  }
  return nb::make_tuple(owned(std::move(positions), {n, width}),
                        owned(std::move(scores), {n, width}), owned(std::move(counts), {n}));
}

nb::tuple search(const RowsView& rows, std::optional<DoubleVector> norms,
                 const ScreenHolder* screen, const std::string& metric, IntVector offsets,
                 FloatMatrix queries, IntVector query_offsets, std::int64_t k,
                 std::optional<ByteVector> mask, std::optional<IntVector> ties, bool estimate,
                 std::optional<int> n_jobs) {
  const Items held{&rows, norms, screen, metric, offsets, mask, ties};
  const Call call = checked(held, queries, query_offsets);
  const auto find = estimate ? &maxsim_estimate : &maxsim_search;
  return answered(call.queries.n, k, [&](const MaxSimAnswer& answer) {
    find(call.items, call.queries, k, resolve_jobs(n_jobs.value_or(0)), answer);
  });
}

nb::tuple rerank(const RowsView& rows, std::optional<DoubleVector> norms,
                 const ScreenHolder* screen, const std::string& metric, IntVector offsets,
                 FloatMatrix queries, IntVector query_offsets, IntVector candidates,
                 IntVector limits, std::int64_t k, std::optional<IntVector> ties,
                 std::optional<int> n_jobs) {
  const Items held{&rows, norms, screen, metric, offsets, std::nullopt, ties};
  const Call call = checked(held, queries, query_offsets);
  check_offsets(limits, size(candidates.shape(0)), "limits");
  require(size(limits.shape(0)) == call.queries.n + 1, "limits: one more than the queries");
  for (std::size_t i = 0; i < candidates.shape(0); ++i) {
    require(candidates.data()[i] >= 0 && candidates.data()[i] < call.items.n,
            "candidates: outside the items");
  }
  return answered(call.queries.n, k, [&](const MaxSimAnswer& answer) {
    maxsim_rerank(call.items, call.queries, candidates.data(), limits.data(), k,
                  resolve_jobs(n_jobs.value_or(0)), answer);
  });
}

void will_need(const RowsView& rows, const ScreenHolder* screen, IntVector offsets,
               IntVector candidates) {
  MaxSimItems items;
  items.rows = rows.rows();
  items.screen = screen != nullptr ? screen->screen.get() : nullptr;
  check_offsets(offsets, items.rows.n, "offsets");
  items.offsets = offsets.data();
  items.n = size(offsets.shape(0)) - 1;
  require(items.screen == nullptr || items.screen->shape().n == items.rows.n,
          "screen: made for other rows");
  for (std::size_t i = 0; i < candidates.shape(0); ++i) {
    require(candidates.data()[i] >= 0 && candidates.data()[i] < items.n,
            "candidates: outside the items");
  }
  const nb::gil_scoped_release release;
  maxsim_will_need(items, candidates.data(), size(candidates.shape(0)));
}

nb::ndarray<nb::numpy, float> pool(FloatMatrix planes, FloatMatrix projected, IntVector offsets,
                                   std::int64_t repetitions, int n_bits, bool is_document,
                                   bool fill_empty, std::optional<int> n_jobs) {
  require(n_bits >= 1 && n_bits <= 24 && repetitions >= 1, "n_bits or repetitions: out of range");
  require(planes.shape(0) == projected.shape(0) && size(planes.shape(1)) == repetitions * n_bits,
          "planes: one product a vector, repetition and bit expected");
  check_offsets(offsets, size(projected.shape(0)), "offsets");
  check_filled(offsets);
  FdeShape shape;
  shape.repetitions = repetitions;
  shape.n_bits = n_bits;
  shape.is_document = is_document;
  shape.fill_empty = fill_empty;
  shape.width = size(projected.shape(1)) / repetitions;
  require(shape.width * repetitions == size(projected.shape(1)),
          "projected: one part a repetition expected");
  const std::size_t n = offsets.shape(0) - 1;
  const auto width = static_cast<std::size_t>((repetitions * shape.width) << n_bits);
  std::vector<float> out(n * width);
  {
    const nb::gil_scoped_release release;
    fde_pool(shape, planes.data(), projected.data(), offsets.data(), size(n),
             resolve_jobs(n_jobs.value_or(0)), out.data());
  }
  return owned(std::move(out), {n, width});
}

}  // namespace

void bind_multivector(nb::module_& m) {
  m.def("maxsim_search", &search, "rows"_a, "norms"_a.none(), "screen"_a.none(), "metric"_a,
        "offsets"_a, "queries"_a, "query_offsets"_a, "k"_a, "mask"_a = nb::none(),
        "tie_keys"_a = nb::none(), "estimate"_a = false, "n_jobs"_a = nb::none(),
        "(positions, scores, counts) of the k best items, runs of rows, by MaxSim; estimate: by "
        "int8 products alone.");
  m.def("maxsim_rerank", &rerank, "rows"_a, "norms"_a.none(), "screen"_a.none(), "metric"_a,
        "offsets"_a, "queries"_a, "query_offsets"_a, "candidates"_a, "limits"_a, "k"_a,
        "tie_keys"_a = nb::none(), "n_jobs"_a = nb::none(),
        "The same among the items candidates[limits[q]:limits[q + 1]] of each query.");
  m.def("maxsim_will_need", &will_need, "rows"_a, "screen"_a.none(), "offsets"_a, "candidates"_a,
        "Begin to read the mapped vectors and codes of items; returns at once.");
  m.def("fde_pool", &pool, "planes"_a, "projected"_a, "offsets"_a, "repetitions"_a, "n_bits"_a,
        "is_document"_a, "fill_empty"_a, "n_jobs"_a = nb::none(),
        "Fixed-dimensional encodings of runs of projected vectors, float32.");
}

}  // namespace vl
