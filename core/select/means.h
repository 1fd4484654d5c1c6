// SPDX-License-Identifier: Apache-2.0
// Sums of the rows of each cluster, kept from one assignment to the next: only rows that changed
// their label are added and taken away, in the order of rows, in float64.
#pragma once

#include <cstdint>
#include <vector>

#include "select/nearest.h"

namespace vl {

class Means {
 public:
  // `weights` null: 1 a row.
  Means(const FloatRows& rows, const double* weights, std::int64_t k, int n_threads);

  // Takes over new labels (all of them in [0, k)) and returns how many rows changed.
  std::int64_t update(const std::int32_t* labels);

  // Gives clusters without rows the rows farthest from their centroids and changes `labels`
  // accordingly. Rows that lie on their centroid are left alone, so with fewer distinct rows than
  // clusters some stay empty.
  // Their centroids become these rows.
  void fill_empty(float* centroids, std::int32_t* labels);

  // Moves the centroid of each cluster that has weight towards, or past, its mean:
  //   c += relaxation (mean - c);
  // `spherical` scales to unit length then. Returns the sum of the squared moves.
  double write(double relaxation, bool spherical, float* centroids) const;

  // sum w |x - c|^2 of the labels taken over last.
  double inertia(const float* centroids) const;
  std::int64_t used() const;
  const std::vector<std::int64_t>& counts() const { return counts_; }
  double mean_variance() const;  // of the rows' dimensions

 private:
  void add(const std::vector<std::int64_t>& entries, const std::vector<std::int64_t>& starts);

  FloatRows rows_;
  const double* weights_;
  std::int64_t k_;
  int n_threads_;
  double squares_ = 0.0;  // sum w |x - center|^2
  double total_ = 0.0;    // sum w
  std::vector<double> center_;
  std::vector<std::int32_t> labels_;
  std::vector<std::int64_t> counts_;
  std::vector<double> mass_;  // sum of weights of each cluster
  std::vector<double> sums_;  // (k, dim), of rows minus the center
};

}  // namespace vl
