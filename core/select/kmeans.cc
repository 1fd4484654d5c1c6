// SPDX-License-Identifier: Apache-2.0
#include "select/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>

#include "base/errors.h"
#include "base/threads.h"
#include "select/balance.h"
#include "select/means.h"
#include "select/nearest.h"
#include "select/seeding.h"

namespace vl {
namespace {

// Centroids that start on rows have far to go to their means, and past them would be too far.
constexpr double kFirstRelaxation = 0.8;
constexpr double kRelaxationStep = 0.2;  // an iteration

constexpr std::uint32_t kStreamSample = 0x6b6d0003;

void check(std::int64_t n, std::int64_t dim, const KMeansOptions& options) {
  if (n < 1 || dim < 1) throw Error(ErrorKind::kShape, "kmeans: no rows or no dimensions");
  if (options.k < 1 || options.k > kMostClusters) {
    throw Error(ErrorKind::kParameter, "kmeans: k must be 1 to 65536; got " +
                                           std::to_string(options.k) +
                                           ". Cluster the clusters for more.");
  }
  if (options.k > n) {
    throw Error(ErrorKind::kParameter, "kmeans: " + std::to_string(n) + " rows are fewer than k=" +
                                           std::to_string(options.k) + " clusters");
  }
}

void seed_centroids(const FloatRows& rows, const KMeansOptions& options, int n_threads,
                    float* centroids) {
  switch (options.init) {
    case KMeansInit::kGiven: std::copy_n(options.initial, options.k * rows.dim, centroids); return;
    case KMeansInit::kRandom: seed_random(rows, options.k, options.seed, centroids); return;
    case KMeansInit::kPlusPlus:
      seed_plus_plus(rows, options.weights, options.k, options.seed, n_threads, centroids);
      return;
  }
}

double weighted_sum(const std::vector<double>& squared, const double* weights) {
  double sum = 0.0;
  for (std::size_t r = 0; r < squared.size(); ++r) {
    sum += (weights != nullptr ? weights[r] : 1.0) * squared[r];
  }
  return sum;
}

// The most rows a cluster of n rows may have; n when not balanced.
std::int64_t size_limit(std::int64_t n, const KMeansOptions& options) {
  if (!(options.max_ratio > 0.0)) return n;
  const double limit =
      std::ceil(options.max_ratio * static_cast<double>(n) / static_cast<double>(options.k));
  const std::int64_t least = (n + options.k - 1) / options.k;
  return limit < static_cast<double>(n) ? std::max(least, static_cast<std::int64_t>(limit)) : n;
}

KMeansResult train(const FloatRows& rows, const KMeansOptions& options, int n_threads) {
  KMeansResult result;
  result.centroids.resize(static_cast<std::size_t>(options.k * rows.dim));
  result.labels.assign(static_cast<std::size_t>(rows.n), -1);
  float* centroids = result.centroids.data();
  std::int32_t* labels = result.labels.data();
  seed_centroids(rows, options, n_threads, centroids);
  const auto nearest = make_nearest(rows, options.k, n_threads);
  Means means(rows, options.weights, options.k, n_threads);
  const double enough = options.tol * means.mean_variance();
  const std::int64_t most = size_limit(rows.n, options);
  const auto place = [&] {
    nearest->move(centroids, options.k, labels);
    if (most < rows.n) balance(rows, centroids, options.k, most, n_threads, labels);
  };
  double relaxation = 1.0;  // of the last step
  for (int iteration = 1; iteration <= options.max_iter; ++iteration) {
    place();
    const std::int64_t changed = means.update(labels);
    if (changed == 0 && relaxation == 1.0) break;
    result.history.push_back(means.inertia(centroids));
    means.fill_empty(centroids, labels);
    relaxation = iteration == options.max_iter || changed == 0
                     ? 1.0
                     : std::min(options.relaxation, kFirstRelaxation + kRelaxationStep * iteration);
    const double moved = means.write(relaxation, options.spherical, centroids);
    result.n_iter = iteration;
    if (options.progress) options.progress(iteration, result.history.back());
    if (moved <= enough) {
      means.write(1.0, options.spherical, centroids);
      break;
    }
  }
  place();
  // Clusters that the last move emptied; with fewer distinct rows than clusters some stay empty.
  constexpr int kRefills = 8;
  means.update(labels);
  for (int i = 0; i < kRefills && means.used() < options.k; ++i) {
    const std::int64_t before = means.used();
    means.fill_empty(centroids, labels);
    if (means.used() == before) break;
    means.write(1.0, options.spherical, centroids);
    place();
    means.update(labels);
  }
  std::vector<double> squared(static_cast<std::size_t>(rows.n));
  own_distances(rows, centroids, labels, n_threads, squared.data());
  result.inertia = weighted_sum(squared, options.weights);
  result.n_used = means.used();
  return result;
}

}  // namespace

KMeansResult kmeans(const float* data, std::int64_t n, std::int64_t dim,
                    const KMeansOptions& options) {
  check(n, dim, options);
  const int n_threads = resolve_jobs(options.n_jobs);
  const std::int64_t most = options.max_points_per_centroid > 0
                                ? options.max_points_per_centroid * options.k
                                : std::numeric_limits<std::int64_t>::max();
  if (n <= most) return train({data, n, dim}, options, n_threads);
  std::vector<std::int64_t> chosen(static_cast<std::size_t>(most));
  draw_rows(n, most, options.seed, kStreamSample, chosen.data());
  std::vector<float> sample(static_cast<std::size_t>(most * dim));
  std::vector<double> weights(options.weights != nullptr ? chosen.size() : 0);
  for (std::int64_t i = 0; i < most; ++i) {
    std::copy_n(data + chosen[i] * dim, dim, sample.data() + i * dim);
    if (options.weights != nullptr) weights[i] = options.weights[chosen[i]];
  }
  KMeansOptions on_sample = options;
  if (options.weights != nullptr) on_sample.weights = weights.data();
  KMeansResult result = train({sample.data(), most, dim}, on_sample, n_threads);
  const FloatRows rows{data, n, dim};
  const float* centroids = result.centroids.data();
  std::vector<double> squared(static_cast<std::size_t>(n));
  result.labels.resize(static_cast<std::size_t>(n));
  assign(data, n, dim, centroids, options.k, options.n_jobs, result.labels.data(), squared.data());
  const std::int64_t limit = size_limit(n, options);
  if (limit < n) {
    balance(rows, centroids, options.k, limit, n_threads, result.labels.data());
    own_distances(rows, centroids, result.labels.data(), n_threads, squared.data());
  }
  result.inertia = weighted_sum(squared, options.weights);
  return result;
}

void assign(const float* data, std::int64_t n, std::int64_t dim, const float* centroids,
            std::int64_t k, int n_jobs, std::int32_t* labels, double* squared) {
  constexpr std::int64_t kSlice = 65536;  // rows whose codes are held at a time
  const int n_threads = resolve_jobs(n_jobs);
  std::fill_n(labels, n, -1);
  std::fill_n(squared, n, std::numeric_limits<double>::infinity());
  for (std::int64_t first = 0; first < n; first += kSlice) {
    const FloatRows rows{data + first * dim, std::min(kSlice, n - first), dim};
    make_nearest(rows, k, n_threads)->improve(centroids, k, 0, labels + first, squared + first);
  }
}

}  // namespace vl
