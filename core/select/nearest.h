// SPDX-License-Identifier: Apache-2.0
// Rows prepared for being asked, again and again, which centroid is nearest.
#pragma once

#include <cstdint>
#include <memory>

namespace vl {

struct FloatRows {
  const float* data = nullptr;
  std::int64_t n = 0;
  std::int64_t dim = 0;
  const float* row(std::int64_t r) const { return data + r * dim; }
};

class Nearest {
 public:
  virtual ~Nearest() = default;

  // Where one of `centroids` is closer to a row than squared[row], stores its number plus `first`
  // and its exact squared distance; equal distances go to the lower number.
  virtual void improve(const float* centroids, std::int64_t k, std::int32_t first,
                       std::int32_t* labels, double* squared) = 0;

  // Moves labels to the nearest of k centroids, which may have moved since the last call; labels
  // are those of the last call (at first -1). Cheaper than improve() when little changes.
  virtual void move(const float* centroids, std::int64_t k, std::int32_t* labels) = 0;
};

std::unique_ptr<Nearest> make_nearest(const FloatRows& rows, std::int64_t k, int n_threads);

// One row after the other in float64: for few distances, and for values whose squares leave the
// range of float32.
std::unique_ptr<Nearest> make_direct_nearest(const FloatRows& rows, int n_threads);

// By int8 block products with bounds.
std::unique_ptr<Nearest> make_screen_nearest(const FloatRows& rows, int n_threads);

// By float32 products of rows side by side, for few dimensions.
std::unique_ptr<Nearest> make_lane_nearest(const FloatRows& rows, int n_threads);

// squared[r] = |row r - centroid labels[r]|^2, exact.
void own_distances(const FloatRows& rows, const float* centroids, const std::int32_t* labels,
                   int n_threads, double* squared);

}  // namespace vl
