// SPDX-License-Identifier: Apache-2.0
// k-means: Lloyd's iterations on exact assignments. Every decision (which centroid is nearest,
// which row is drawn, in which order sums are taken) is made in float64 with a fixed order of
// additions, so the same seed gives the same bits at any thread count and CPU level; kernels and
// bounds only decide how long it takes.
//
//   minimise  F(l, c) = sum_i w_i |x_i - c_{l(i)}|^2   by turns over labels l and centroids c.
//
// Centroids move past the mean of their rows, c += r (mean - c) with r up to 1.9: for fixed labels
//   F(l, c) = F(l, mean) + sum_c mass_c |mean - c|^2,
// so that a step leaves (r - 1)^2 < 1 of the last term and F falls at each one, as with r = 1; but
// the next labels are better, and about half as many iterations reach the same F. The last step
// goes to the mean.
//
// Lloyd, "Least squares quantization in PCM", IEEE Trans. Information Theory 28 (1982).
// Salakhutdinov and Roweis, "Adaptive overrelaxed bound optimization methods", ICML 2003.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace vl {

enum class KMeansInit { kPlusPlus, kRandom, kGiven };

inline constexpr std::int64_t kMostClusters = 65536;

struct KMeansOptions {
  std::int64_t k = 8;
  KMeansInit init = KMeansInit::kPlusPlus;
  const float* initial = nullptr;  // (k, dim), for kGiven
  int max_iter = 25;
  double tol = 0.0;  // stop when the centroids' squared moves sum to tol * mean variance or less
  double relaxation = 1.9;  // r above, in [1, 2); 1 is Lloyd's iteration
  std::uint64_t seed = 0;
  bool spherical = false;  // centroids are scaled to unit length; rows should be unit too
  double max_ratio = 0.0;  // balanced when > 0: no cluster above ceil(max_ratio * n / k) rows
  const double* weights = nullptr;           // one a row, >= 0; null means 1
  std::int64_t max_points_per_centroid = 0;  // train on a sample of k times so many; 0: on all rows
  int n_jobs = 0;
  std::function<void(int iteration, double inertia)> progress;  // called after each iteration
};

struct KMeansResult {
  std::vector<float> centroids;      // (k, dim)
  std::vector<std::int32_t> labels;  // nearest centroid; ties go to the lower number
  double inertia = 0.0;              // of labels and centroids as returned
  int n_iter = 0;
  std::int64_t n_used = 0;      // clusters with at least one row
  std::vector<double> history;  // inertia of each iteration's labels with its own means
};

// Rows must be finite; 1 <= k <= min(n, kMostClusters).
KMeansResult kmeans(const float* rows, std::int64_t n, std::int64_t dim,
                    const KMeansOptions& options);

// The nearest centroid of each row and its squared distance, decided in float64; ties go to the
// lower number.
void assign(const float* rows, std::int64_t n, std::int64_t dim, const float* centroids,
            std::int64_t k, int n_jobs, std::int32_t* labels, double* squared);

}  // namespace vl
