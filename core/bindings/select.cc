// SPDX-License-Identifier: Apache-2.0
// Clustering.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "select/best.h"
#include "select/kmeans.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

using FloatMatrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using DoubleVector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

using ByteVector = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using IntVector = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
nb::ndarray<nb::numpy, T> owned(std::vector<T>&& values, std::initializer_list<std::size_t> shape) {
  auto holder = std::make_unique<std::vector<T>>(std::move(values));
  T* data = holder->data();
  const nb::capsule owner(holder.release(),
                          [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::ndarray<nb::numpy, T>(data, shape, owner);
}

void set_init(const std::variant<std::string, FloatMatrix>& init, std::int64_t dim,
              KMeansOptions& options) {
  if (const auto* given = std::get_if<FloatMatrix>(&init)) {
    if (static_cast<std::int64_t>(given->shape(0)) != options.k ||
        static_cast<std::int64_t>(given->shape(1)) != dim) {
      throw Error(ErrorKind::kShape, "kmeans: init must have the shape (k, dim)");
    }
    options.init = KMeansInit::kGiven;
    options.initial = given->data();
    return;
  }
  const std::string& name = std::get<std::string>(init);
  if (name != "k-means++" && name != "random") {
    throw Error(ErrorKind::kParameter,
                "kmeans: init must be 'k-means++', 'random' or an array; got '" + name + "'");
  }
  options.init = name == "random" ? KMeansInit::kRandom : KMeansInit::kPlusPlus;
}

// (centroids float32 (k, dim), labels int32 (n,), inertia, n_iter, n_used, history).
nb::tuple kmeans_of(const FloatMatrix& rows, std::int64_t k,
                    const std::variant<std::string, FloatMatrix>& init, int max_iter, double tol,
                    std::uint64_t seed, double max_ratio, bool spherical, double relaxation,
                    const std::optional<DoubleVector>& weights,
                    std::int64_t max_points_per_centroid,
                    const std::optional<nb::callable>& progress, std::optional<int> n_jobs) {
  const auto n = static_cast<std::int64_t>(rows.shape(0));
  const auto dim = static_cast<std::int64_t>(rows.shape(1));
  KMeansOptions options;
  options.k = k;
  options.max_iter = max_iter;
  options.tol = tol;
  options.seed = seed;
  options.max_ratio = max_ratio;
  options.relaxation = relaxation;
  options.spherical = spherical;
  options.max_points_per_centroid = max_points_per_centroid;
  options.n_jobs = n_jobs.value_or(0);
  set_init(init, dim, options);
  if (weights.has_value()) {
    if (static_cast<std::int64_t>(weights->shape(0)) != n) {
      throw Error(ErrorKind::kShape, "kmeans: one weight a row is needed");
    }
    options.weights = weights->data();
  }
  if (progress.has_value()) {
    options.progress = [&progress](int iteration, double inertia) {
      const nb::gil_scoped_acquire gil;
      (*progress)(iteration, inertia);
    };
  }
  KMeansResult result;
  {
    const nb::gil_scoped_release release;
    result = kmeans(rows.data(), n, dim, options);
  }
  return nb::make_tuple(owned(std::move(result.centroids),
                              {static_cast<std::size_t>(k), static_cast<std::size_t>(dim)}),
                        owned(std::move(result.labels), {static_cast<std::size_t>(n)}),
                        result.inertia, result.n_iter, result.n_used, result.history);
}

// (labels int32 (n,), squared distances float32 (n,)).
nb::tuple assign_rows(const FloatMatrix& rows, const FloatMatrix& centroids,
                      std::optional<int> n_jobs) {
  const auto n = static_cast<std::int64_t>(rows.shape(0));
  const auto k = static_cast<std::int64_t>(centroids.shape(0));
  if (rows.shape(1) != centroids.shape(1) || k < 1) {
    throw Error(ErrorKind::kShape, "assign: rows and centroids must have the same dimension");
  }
  std::vector<std::int32_t> labels(static_cast<std::size_t>(n));
  std::vector<float> distances(static_cast<std::size_t>(n));
  {
    const nb::gil_scoped_release release;
    std::vector<double> squared(static_cast<std::size_t>(n));
    assign(rows.data(), n, static_cast<std::int64_t>(rows.shape(1)), centroids.data(), k,
           n_jobs.value_or(0), labels.data(), squared.data());
    for (std::size_t r = 0; r < squared.size(); ++r) distances[r] = static_cast<float>(squared[r]);
  }
  const auto length = static_cast<std::size_t>(n);
  return nb::make_tuple(owned(std::move(labels), {length}), owned(std::move(distances), {length}));
}

// (positions, scores, counts) of the best of each row, -1 and -inf where there are none.
nb::tuple best_scores(const FloatMatrix& scores, std::int64_t k, std::optional<ByteVector> mask,
                      std::optional<IntVector> ties, std::optional<int> n_jobs) {
  const std::size_t m = scores.shape(0);
  const std::size_t n = scores.shape(1);
  if (k < 0 || (mask && mask->shape(0) != n) || (ties && ties->shape(0) != n)) {
    throw Error(ErrorKind::kShape, "best_scores: k not negative, mask and ties one a column");
  }
  const auto width = static_cast<std::size_t>(k);
  std::vector<std::int64_t> positions(m * width, -1);
  std::vector<double> best(m * width, -std::numeric_limits<double>::infinity());
  std::vector<std::int64_t> counts(m);
  {
    const nb::gil_scoped_release release;
    constexpr std::int64_t kRows = 16;
    const auto blocks = (static_cast<std::int64_t>(m) + kRows - 1) / kRows;
    parallel_for(
        blocks, blocks == 1 ? 1 : resolve_jobs(n_jobs.value_or(0)), [&](std::int64_t block, int) {
          BestOf chooser;
          const auto end = std::min(m, static_cast<std::size_t>((block + 1) * kRows));
          for (auto q = static_cast<std::size_t>(block * kRows); q < end; ++q) {
            const std::vector<BestOf::Place>& places =
                chooser.choose(scores.data() + q * n, static_cast<std::int64_t>(n), k,
                               mask ? mask->data() : nullptr, ties ? ties->data() : nullptr);
            counts[q] = static_cast<std::int64_t>(places.size());
            for (std::size_t i = 0; i < places.size(); ++i) {
              positions[q * width + i] = places[i].at;
              best[q * width + i] = static_cast<double>(places[i].score);
            }
          }
        });
  }
  return nb::make_tuple(owned(std::move(positions), {m, width}), owned(std::move(best), {m, width}),
                        owned(std::move(counts), {m}));
}

}  // namespace

void bind_select(nb::module_& m) {
  m.def("kmeans", &kmeans_of, "rows"_a, "k"_a, "init"_a = "k-means++", "max_iter"_a = 25,
        "tol"_a = 0.0, "seed"_a = 0, nb::kw_only(), "max_ratio"_a = 0.0, "spherical"_a = false,
        "relaxation"_a = 1.9, "weights"_a = nb::none(), "max_points_per_centroid"_a = 0,
        "progress"_a = nb::none(), "n_jobs"_a = nb::none());
  m.def("assign", &assign_rows, "rows"_a, "centroids"_a, "n_jobs"_a = nb::none());
  m.def("best_scores", &best_scores, "scores"_a, "k"_a, "mask"_a = nb::none(),
        "ties"_a = nb::none(), "n_jobs"_a = nb::none(),
        "(positions, scores, counts) of the k largest of each row, best first.");
}

}  // namespace vl
