// SPDX-License-Identifier: Apache-2.0
// Nearest centroids of rows of few dimensions: 32 rows lie side by side in registers and centroids
// are broadcast, in float32; where the two best are closer than rounding can tell, float64 decides.
//
// Between calls of move() most rows are passed over. Up to kBallDims dimensions, only neighbours of
// a row's own centroid c_j are looked at: for any other c, |x - c| >= |c_j - c| - |x - c_j|, so
// that c is no nearer when |c_j - c| > 2 |x - c_j|; rows are visited cluster by cluster, and the 32
// of a block share a list. With more dimensions nearly all centroids are neighbours, and each row
// keeps a lower bound on its distance to all but its own, which falls by the largest move of a
// centroid.
//
// Newling and Fleuret, "Fast k-means with accurate bounds", ICML 2016 (the ball around a centroid).
// Hamerly, "Making k-means even faster", SDM 2010 (the one bound a row).
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "select/row_codes.h"
#include "simd/nearest.h"
#include "simd/pair.h"

namespace vl {
namespace {

constexpr std::int64_t kTaskRows = 2048;
constexpr std::int64_t kBallDims = 4;

// Centroids in the shifted and scaled space of the rows.
struct LaneCentroids {
  std::vector<float> values;   // (k + 1, dim): one more with bias -inf fills lists up
  std::vector<float> bias;     // -|c'|^2 / 2
  std::vector<float> columns;  // (dim, k): for distances from one centroid to all
  float reach = 0.0F;          // max |c'|
  bool wild = false;
};

// A block of rows at work.
struct Work {
  std::vector<float> lanes, apart;
  std::vector<std::int32_t> near, list;
  float best[kLaneRows], second[kLaneRows];
  std::int32_t index[kLaneRows];
  float norm = 0.0F;    // max |x'| of the rows that are loaded
  float offset = 0.0F;  // as of nearest.h

  Work(std::int64_t dim, std::int64_t k)
      : lanes(static_cast<std::size_t>(dim * kLaneRows)),
        apart(static_cast<std::size_t>(k)),
        near(static_cast<std::size_t>(k)),
        list(static_cast<std::size_t>(k + kLaneStep)) {}
};

class LaneNearest final : public Nearest {
 public:
  LaneNearest(const FloatRows& rows, int n_threads)
      : rows_(rows),
        n_threads_(n_threads),
        kernels_(nearest_kernels()),
        space_(code_space(rows)),
        rounding_((static_cast<float>(rows.dim) + 8.0F) * 0x1p-23F) {
    shift_rows();
  }

  void improve(const float* centroids, std::int64_t k, std::int32_t first, std::int32_t* labels,
               double* squared) override;
  void move(const float* centroids, std::int64_t k, std::int32_t* labels) override;

 private:
  struct Target {
    const float* centroids;
    std::int64_t k;
    const LaneCentroids* lanes;
  };

  void shift_rows();
  LaneCentroids shift_centroids(const float* centroids, std::int64_t k) const;
  void load(const std::int64_t* chosen, int n, Work& work) const;
  void scan(const Target& target, int n_list, Work& work) const;
  float slack_of(const Target& target, std::int64_t r, const Work& work) const;
  std::int32_t decide(const Target& target, std::int64_t r, int lane, const Work& work) const;
  std::int32_t exact(const Target& target, std::int64_t r) const;
  void sort_by_label(const std::int32_t* labels, std::int64_t k);
  void move_in_balls(const Target& target, std::int32_t* labels);
  void move_bounded(const Target& target, std::int32_t* labels);
  void move_rows(const Target& target, const std::int64_t* chosen, int n, std::int32_t* labels,
                 Work& work);
  bool within(const Target& target, std::int64_t r, std::int32_t label, float bound) const;
  void take_moves(const Target& target);
  void move_cluster(const Target& target, std::int64_t c, std::int32_t* labels, Work& work) const;
  float ball(const Target& target, std::int64_t c, int n, Work& work) const;

  FloatRows rows_;
  int n_threads_;
  const NearestKernels& kernels_;
  CodeSpace space_;
  float rounding_;             // of v, relative to (|x'| + |c'|)^2
  std::vector<float> values_;  // (n, dim): x'
  std::vector<float> norm_;    // |x'|; infinite: only float64 will do
  std::vector<std::int64_t> sorted_, starts_;
  std::vector<float> far_;   // lower bound of the distance to all but the own centroid, + drift
  double drift_ = 0.0;       // sum of the largest moves
  std::vector<float> last_;  // LaneCentroids::values of the last move()
};

void LaneNearest::shift_rows() {
  values_.resize(static_cast<std::size_t>(rows_.n * rows_.dim));
  norm_.resize(static_cast<std::size_t>(rows_.n));
  parallel_for((rows_.n + kTaskRows - 1) / kTaskRows, n_threads_, [&](std::int64_t task, int) {
    for (std::int64_t r = task * kTaskRows; r < std::min(rows_.n, (task + 1) * kTaskRows); ++r) {
      float* out = values_.data() + r * rows_.dim;
      float square = 0.0F;
      for (std::int64_t d = 0; d < rows_.dim; ++d) {
        out[d] = space_.unit * (rows_.row(r)[d] - space_.center[d]);
        square += out[d] * out[d];
      }
      norm_[r] = std::sqrt(square);
      if (norm_[r] < kWildNorm) continue;
      norm_[r] = std::numeric_limits<float>::infinity();
      std::fill_n(out, rows_.dim, 0.0F);
    }
  });
}

LaneCentroids LaneNearest::shift_centroids(const float* centroids, std::int64_t k) const {
  const std::int64_t dim = rows_.dim;
  LaneCentroids lanes;
  lanes.values.assign(static_cast<std::size_t>((k + 1) * dim), 0.0F);
  lanes.columns.resize(static_cast<std::size_t>(k * dim));
  lanes.bias.assign(static_cast<std::size_t>(k + 1), -std::numeric_limits<float>::infinity());
  for (std::int64_t c = 0; c < k; ++c) {
    double square = 0.0;
    for (std::int64_t d = 0; d < dim; ++d) {
      const float value = space_.unit * (centroids[c * dim + d] - space_.center[d]);
      lanes.values[c * dim + d] = lanes.columns[d * k + c] = value;
      square += static_cast<double>(value) * static_cast<double>(value);
    }
    lanes.bias[c] = static_cast<float>(-0.5 * square);
    const auto length = static_cast<float>(std::sqrt(square));
    lanes.wild = lanes.wild || !(length < kWildNorm);
    lanes.reach = std::max(lanes.reach, length);
  }
  return lanes;
}

// Puts rows side by side; a block that is not full repeats its last row.
void LaneNearest::load(const std::int64_t* chosen, int n, Work& work) const {
  const std::int64_t dim = rows_.dim;
  work.norm = 0.0F;
  for (int i = 0; i < kLaneRows; ++i) {
    const std::int64_t r = chosen[std::min(i, n - 1)];
    const float* row = values_.data() + r * dim;
    if (norm_[r] < kWildNorm) work.norm = std::max(work.norm, norm_[r]);
    for (std::int64_t d = 0; d < dim; ++d) work.lanes[d * kLaneRows + i] = row[d];
  }
}

void LaneNearest::scan(const Target& target, int n_list, Work& work) const {
  const float reach = target.lanes->reach;
  work.offset = (work.norm * reach + 0.5F * reach * reach) * 1.001F + 1e-30F;
  while (n_list % kLaneStep != 0) work.list[n_list++] = static_cast<std::int32_t>(target.k);
  kernels_.lanes(work.lanes.data(), static_cast<int>(rows_.dim), target.lanes->values.data(),
                 target.lanes->bias.data(), work.list.data(), n_list, work.offset, work.best,
                 work.second, work.index);
}

std::int32_t LaneNearest::exact(const Target& target, std::int64_t r) const {
  const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
  std::vector<double> squared(static_cast<std::size_t>(target.k));
  l2(rows_.row(r), target.centroids, nullptr, target.k, rows_.dim, squared.data());
  return static_cast<std::int32_t>(std::min_element(squared.begin(), squared.end()) -
                                   squared.begin());
}

// How far values of a row that was scanned may be off; infinite for rows that float32 cannot hold.
float LaneNearest::slack_of(const Target& target, std::int64_t r, const Work& work) const {
  const float both = norm_[r] + target.lanes->reach;
  // No value is above |x'|^2 / 2, where x' = c'.
  return rounding_ * both * both + 1.01F * kLaneError * (work.offset + 0.5F * norm_[r] * norm_[r]) +
         1e-30F;
}

// The nearest centroid of a row that was scanned in `lane`.
std::int32_t LaneNearest::decide(const Target& target, std::int64_t r, int lane,
                                 const Work& work) const {
  const float slack = slack_of(target, r, work);
  const bool sure = work.best[lane] - work.second[lane] > 2.0F * slack;
  return sure ? work.index[lane] : exact(target, r);
}

void LaneNearest::improve(const float* centroids, std::int64_t k, std::int32_t first,
                          std::int32_t* labels, double* squared) {
  const LaneCentroids lanes = shift_centroids(centroids, k);
  if (lanes.wild) {
    make_direct_nearest(rows_, n_threads_)->improve(centroids, k, first, labels, squared);
    return;
  }
  const Target target{centroids, k, &lanes};
  const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
  const double unit = static_cast<double>(space_.unit);
  parallel_for((rows_.n + kTaskRows - 1) / kTaskRows, n_threads_, [&](std::int64_t task, int) {
    Work work(rows_.dim, k);
    for (std::int64_t c = 0; c < k; ++c) work.list[c] = static_cast<std::int32_t>(c);
    const std::int64_t end = std::min(rows_.n, (task + 1) * kTaskRows);
    for (std::int64_t begin = task * kTaskRows; begin < end; begin += kLaneRows) {
      poll_interrupt();
      const auto n = static_cast<int>(std::min<std::int64_t>(kLaneRows, end - begin));
      std::int64_t chosen[kLaneRows];
      for (int i = 0; i < n; ++i) chosen[i] = begin + i;
      load(chosen, n, work);
      scan(target, static_cast<int>(k), work);
      for (int i = 0; i < n; ++i) {
        const std::int64_t r = begin + i;
        const double norm = static_cast<double>(norm_[r]);
        const double least = norm * norm - 2.0 * static_cast<double>(work.best[i]) -
                             4.0 * static_cast<double>(slack_of(target, r, work));
        if (least > squared[r] * unit * unit) continue;  // never with infinite slack: NaN or -inf
        const std::int32_t found = decide(target, r, i, work);
        double square = 0.0;
        l2(rows_.row(r), centroids + found * rows_.dim, nullptr, 1, rows_.dim, &square);
        if (square < squared[r]) {
          squared[r] = square;
          labels[r] = first + found;
        }
      }
    }
  });
}

void LaneNearest::sort_by_label(const std::int32_t* labels, std::int64_t k) {
  starts_.assign(static_cast<std::size_t>(k) + 1, 0);
  sorted_.resize(static_cast<std::size_t>(rows_.n));
  for (std::int64_t r = 0; r < rows_.n; ++r) ++starts_[labels[r] + 1];
  for (std::int64_t c = 0; c < k; ++c) starts_[c + 1] += starts_[c];
  std::vector<std::int64_t> next(starts_.begin(), starts_.end() - 1);
  for (std::int64_t r = 0; r < rows_.n; ++r) sorted_[next[labels[r]]++] = r;
}

void LaneNearest::move(const float* centroids, std::int64_t k, std::int32_t* labels) {
  const LaneCentroids lanes = shift_centroids(centroids, k);
  if (lanes.wild || (labels[0] < 0 && rows_.dim <= kBallDims)) {
    far_.clear();
    std::vector<double> squared(static_cast<std::size_t>(rows_.n),
                                std::numeric_limits<double>::infinity());
    improve(centroids, k, 0, labels, squared.data());
    return;
  }
  const Target target{centroids, k, &lanes};
  if (rows_.dim <= kBallDims) {
    move_in_balls(target, labels);
  } else {
    move_bounded(target, labels);
  }
}

void LaneNearest::move_in_balls(const Target& target, std::int32_t* labels) {
  const std::int64_t k = target.k;
  sort_by_label(labels, k);
  std::vector<std::int64_t> tasks{0};  // first cluster of each task
  for (std::int64_t c = 0; c < k; ++c) {
    if (starts_[c + 1] - starts_[tasks.back()] >= kTaskRows) tasks.push_back(c + 1);
  }
  if (tasks.back() != k) tasks.push_back(k);
  parallel_for(std::ssize(tasks) - 1, n_threads_, [&](std::int64_t task, int) {
    Work work(rows_.dim, k);
    for (std::int64_t c = tasks[task]; c < tasks[task + 1]; ++c) {
      if (starts_[c + 1] > starts_[c]) move_cluster(target, c, labels, work);
    }
  });
}

void LaneNearest::take_moves(const Target& target) {
  const std::int64_t dim = rows_.dim;
  const std::vector<float>& now = target.lanes->values;
  if (far_.empty()) {
    far_.assign(static_cast<std::size_t>(rows_.n), -std::numeric_limits<float>::infinity());
    drift_ = 0.0;
  } else {
    double most = 0.0;
    for (std::int64_t c = 0; c < target.k; ++c) {
      double square = 0.0;
      for (std::int64_t d = 0; d < dim; ++d) {
        const double x =
            static_cast<double>(now[c * dim + d]) - static_cast<double>(last_[c * dim + d]);
        square += x * x;
      }
      most = std::max(most, square);
    }
    // Shifted centroids are rounded to float32, before as now.
    drift_ += std::sqrt(most) + 0x1p-21 * static_cast<double>(target.lanes->reach);
  }
  last_ = now;
}

// Whether row r is nearer to centroid `label` than `bound`, to all appearances and for certain.
bool LaneNearest::within(const Target& target, std::int64_t r, std::int32_t label,
                         float bound) const {
  constexpr std::int64_t kLanes = 4;  // partial sums, so that additions overlap
  const float* row = values_.data() + r * rows_.dim;
  const float* centroid = target.lanes->values.data() + label * rows_.dim;
  float squares[kLanes] = {};
  std::int64_t d = 0;
  for (; d + kLanes <= rows_.dim; d += kLanes) {
    for (std::int64_t i = 0; i < kLanes; ++i) {
      const float x = row[d + i] - centroid[d + i];
      squares[i] += x * x;
    }
  }
  for (; d < rows_.dim; ++d) {
    const float x = row[d] - centroid[d];
    squares[0] += x * x;
  }
  const float square = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  const float room = bound - 0x1p-21F * (norm_[r] + target.lanes->reach);
  return (room > 0.0F) & (square * (1.0F + 4.0F * rounding_) < room * room);
}

// Rows whose bound may fail, gathered by 32.
void LaneNearest::move_bounded(const Target& target, std::int32_t* labels) {
  take_moves(target);
  const auto drift = static_cast<float>(drift_ * (1.0 + 1e-6));
  parallel_for((rows_.n + kTaskRows - 1) / kTaskRows, n_threads_, [&](std::int64_t task, int) {
    Work work(rows_.dim, target.k);
    for (std::int64_t c = 0; c < target.k; ++c) work.list[c] = static_cast<std::int32_t>(c);
    std::int64_t chosen[kLaneRows + 1];
    int n = 0;
    const std::int64_t end = std::min(rows_.n, (task + 1) * kTaskRows);
    for (std::int64_t r = task * kTaskRows; r < end; ++r) {
      chosen[n] = r;
      // Without a label yet the bound is -inf, whatever centroid is compared.
      n += within(target, r, std::max(labels[r], 0), far_[r] - drift) ? 0 : 1;
      if (n < kLaneRows) continue;
      poll_interrupt();
      move_rows(target, chosen, n, labels, work);
      n = 0;
    }
    if (n > 0) move_rows(target, chosen, n, labels, work);
  });
}

void LaneNearest::move_rows(const Target& target, const std::int64_t* chosen, int n,
                            std::int32_t* labels, Work& work) {
  constexpr float kSure = 1.0F - 2e-6F;
  load(chosen, n, work);
  scan(target, static_cast<int>(target.k), work);
  const auto drift = static_cast<float>(drift_) * kSure;
  for (int i = 0; i < n; ++i) {
    const std::int64_t r = chosen[i];
    labels[r] = decide(target, r, i, work);
    const float slack = slack_of(target, r, work);
    // Where float64 decided, the best value may be another's.
    const float other = labels[r] == work.index[i] ? work.second[i] : work.best[i];
    const float square = norm_[r] * norm_[r] - 2.0F * (other + slack) - slack;
    far_[r] = square > 0.0F && slack < kWildNorm ? std::sqrt(square) * kSure + drift
                                                 : -std::numeric_limits<float>::infinity();
  }
}

// Twice the largest distance of the loaded rows to centroid c, rounded up.
float LaneNearest::ball(const Target& target, std::int64_t c, int n, Work& work) const {
  float squares[kLaneRows] = {};
  for (std::int64_t d = 0; d < rows_.dim; ++d) {
    const float value = target.lanes->values[c * rows_.dim + d];
    const float* lane = work.lanes.data() + d * kLaneRows;
    for (int i = 0; i < kLaneRows; ++i) {
      const float x = lane[i] - value;
      squares[i] += x * x;
    }
  }
  float largest = 0.0F;
  for (int i = 0; i < n; ++i) largest = std::max(largest, squares[i]);
  return 2.0F * std::sqrt(largest);
}

void LaneNearest::move_cluster(const Target& target, std::int64_t c, std::int32_t* labels,
                               Work& work) const {
  const std::int64_t k = target.k;
  std::fill(work.apart.begin(), work.apart.end(), 0.0F);
  for (std::int64_t d = 0; d < rows_.dim; ++d) {
    const float* column = target.lanes->columns.data() + d * k;
    const float value = column[c];
    for (std::int64_t j = 0; j < k; ++j) {
      const float x = column[j] - value;
      work.apart[j] += x * x;
    }
  }
  for (std::int64_t first = starts_[c]; first < starts_[c + 1]; first += kLaneRows) {
    poll_interrupt();
    const auto n = static_cast<int>(std::min<std::int64_t>(kLaneRows, starts_[c + 1] - first));
    const std::int64_t* chosen = sorted_.data() + first;
    load(chosen, n, work);
    // Room for the rounding of both distances, and of the values they were computed from.
    float norm = 0.0F;
    for (int i = 0; i < n; ++i) norm = std::max(norm, norm_[chosen[i]]);
    float within = ball(target, c, n, work) * (1.0F + 4.0F * rounding_) +
                   0x1p-20F * (norm + target.lanes->reach);
    within *= within * (1.0F + 4.0F * rounding_);
    int n_list = 0;
    for (std::int32_t j = 0; j < k; ++j) {
      work.list[n_list] = j;
      n_list += work.apart[j] <= within ? 1 : 0;
    }
    scan(target, n_list, work);
    for (int i = 0; i < n; ++i) labels[chosen[i]] = decide(target, chosen[i], i, work);
  }
}

}  // namespace

std::unique_ptr<Nearest> make_lane_nearest(const FloatRows& rows, int n_threads) {
  return std::make_unique<LaneNearest>(rows, n_threads);
}

}  // namespace vl
