// SPDX-License-Identifier: Apache-2.0
// Nearest centroids by int8 block products whose error is bounded (row_codes.h): what the bound
// cannot exclude is settled in float64.
//
// Between calls of move() each row keeps, for each group of centroids, a lower bound on its
// distance to all of them; a group's bound falls by the largest move of its centroids, and a group
// whose bound is above the distance to the row's own centroid is not looked at:
//
// Ding, Zhao, Shen, Musuvathi, Mytkowicz, "Yinyang k-means: a drop-in replacement of the classic
// k-means with consistent speedup", ICML 2015.
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

constexpr std::int64_t kBlock = 480;  // rows of a task: their codes stay in the L2 cache
constexpr int kPair = kPanelsPerCall * kPanelRows;
constexpr float kSure = 2e-6F;  // relative room for float32 rounding of bounds
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Candidate {
  std::int32_t row;       // within the block
  std::int32_t position;  // of the centroid
  float reachable;        // no more than this v(x, c)
};

// One block of rows at work; all vectors are indexed by the row within the block.
struct Work {
  std::vector<double> lower;  // v(x, nearest) is at least this
  std::vector<float> near;    // and the distance to it at most this, in units
  std::vector<float> limit, top, slack, highest;
  std::vector<std::int32_t> chosen;
  std::vector<PanelHit> hits;
  std::vector<Candidate> candidates;

  Work()
      : lower(kBlock),
        near(kBlock),
        limit(kBlock),
        top(kBlock),
        slack(kBlock),
        highest(kBlock),
        chosen(kBlock),
        hits(kBlock * kPair) {}
};

class ScreenNearest final : public Nearest {
 public:
  ScreenNearest(const FloatRows& rows, int n_threads)
      : rows_(rows),
        n_threads_(n_threads),
        kernels_(nearest_kernels()),
        space_(code_space(rows)),
        codes_(rows, space_, kernels_.int8_row_max, n_threads) {}

  void improve(const float* centroids, std::int64_t k, std::int32_t first, std::int32_t* labels,
               double* squared) override;
  void move(const float* centroids, std::int64_t k, std::int32_t* labels) override;

 private:
  struct Target {
    const float* centroids;
    std::int64_t k;
    std::int32_t first;
    const CentroidPanels* panels;
    const std::vector<std::int32_t>* order;
    std::int32_t* labels;
    double* squared;
    bool bounded;  // use and keep the bounds
  };

  void sweep(const Target& target, std::int64_t block, Work& work);
  void sweep_pair(const Target& target, std::int64_t pair, std::int64_t first, int n_chosen,
                  Work& work) const;
  int choose(std::int64_t first, std::int64_t last, std::int64_t group, Work& work) const;
  void keep_bounds(std::int64_t first, int n_chosen, std::int64_t group, const Work& work);
  void settle(const Target& target, std::int64_t first, Work& work) const;
  void take_moves(const float* centroids, std::int64_t k);
  void run(const Target& target);

  FloatRows rows_;
  int n_threads_;
  const NearestKernels& kernels_;
  CodeSpace space_;
  RowCodes codes_;

  std::vector<std::int32_t> order_;
  std::vector<float> last_;  // centroids of the last move()
  std::int64_t n_groups_ = 1;
  std::int64_t pairs_per_group_ = std::numeric_limits<std::int32_t>::max();
  std::vector<double> drift_;    // of each group, since the first move()
  AlignedBuffer<float> bounds_;  // (n, n_groups): lower bound + drift at that time
};

void ScreenNearest::improve(const float* centroids, std::int64_t k, std::int32_t first,
                            std::int32_t* labels, double* squared) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(k));
  for (std::int64_t c = 0; c < k; ++c) order[c] = static_cast<std::int32_t>(c);
  const CentroidPanels panels(centroids, rows_.dim, space_, order, n_threads_);
  if (panels.wild) {
    make_direct_nearest(rows_, n_threads_)->improve(centroids, k, first, labels, squared);
    return;
  }
  run({centroids, k, first, &panels, &order, labels, squared, false});
}

void ScreenNearest::move(const float* centroids, std::int64_t k, std::int32_t* labels) {
  take_moves(centroids, k);
  const CentroidPanels panels(centroids, rows_.dim, space_, order_, n_threads_);
  if (panels.wild) {
    make_direct_nearest(rows_, n_threads_)->move(centroids, k, labels);
    return;
  }
  std::vector<double> squared(static_cast<std::size_t>(rows_.n), kInfinity);
  run({centroids, k, 0, &panels, &order_, labels, squared.data(), true});
}

void ScreenNearest::run(const Target& target) {
  std::vector<Work> work(static_cast<std::size_t>(n_threads_));
  parallel_for((rows_.n + kBlock - 1) / kBlock, n_threads_, [&](std::int64_t block, int worker) {
    sweep(target, block, work[static_cast<std::size_t>(worker)]);
  });
}

// Bounds of the first call say nothing; afterwards they fall by what the centroids moved.
void ScreenNearest::take_moves(const float* centroids, std::int64_t k) {
  const std::int64_t dim = rows_.dim;
  if (last_.empty()) {
    const std::int64_t n_pairs = (k + kPair - 1) / kPair;
    const std::int64_t most = std::max<std::int64_t>(32, dim / 4);
    pairs_per_group_ = (n_pairs + most - 1) / most;
    n_groups_ = (n_pairs + pairs_per_group_ - 1) / pairs_per_group_;
    order_ = neighbourly_order(centroids, k, dim, pairs_per_group_ * kPair);
    drift_.assign(static_cast<std::size_t>(n_groups_), 0.0);
    bounds_ = AlignedBuffer<float>(static_cast<std::size_t>(rows_.n * n_groups_));
    std::fill_n(bounds_.data(), bounds_.size(), -std::numeric_limits<float>::infinity());
  } else {
    for (std::int64_t g = 0; g < n_groups_; ++g) {
      double most = 0.0;
      const std::int64_t first = g * pairs_per_group_ * kPair;
      const std::int64_t last = std::min(k, first + pairs_per_group_ * kPair);
      for (std::int64_t p = first; p < last; ++p) {
        double square = 0.0;
        for (std::int64_t d = 0; d < dim; ++d) {
          const double x = static_cast<double>(centroids[order_[p] * dim + d]) -
                           static_cast<double>(last_[order_[p] * dim + d]);
          square += x * x;
        }
        most = std::max(most, square);
      }
      drift_[g] += std::sqrt(most) * static_cast<double>(space_.unit);
    }
  }
  last_.assign(centroids, centroids + k * dim);
}

void ScreenNearest::sweep(const Target& target, std::int64_t block, Work& work) {
  const std::int64_t first = block * kBlock;
  const std::int64_t last = std::min(rows_.n, first + kBlock);
  const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
  const auto unit = static_cast<double>(space_.unit);
  work.candidates.clear();
  for (std::int64_t r = first; r < last; ++r) {
    if (target.bounded && target.labels[r] >= 0) {
      l2(rows_.row(r), target.centroids + target.labels[r] * rows_.dim, nullptr, 1, rows_.dim,
         target.squared + r);
    }
    const double own = target.squared[r] * unit * unit;
    const double norm = static_cast<double>(codes_.norm[r]);
    const auto i = static_cast<std::size_t>(r - first);
    work.lower[i] = 0.5 * (norm * norm - own);
    work.near[i] = static_cast<float>(std::sqrt(own)) * (1.0F + kSure);
    if (codes_.norm[r] >= kWildNorm) {  // everything is a candidate
      for (std::int32_t p = 0; p < target.k; ++p) {
        work.candidates.push_back({static_cast<std::int32_t>(i), p, 0.0F});
      }
    }
  }
  const std::int64_t n_groups = target.bounded ? n_groups_ : 1;
  for (std::int64_t g = 0; g < n_groups; ++g) {
    poll_interrupt();
    int n_chosen = 0;
    if (target.bounded) {
      n_chosen = choose(first, last, g, work);
    } else {
      for (std::int64_t r = first; r < last; ++r) {
        if (codes_.norm[r] < kWildNorm) work.chosen[n_chosen++] = static_cast<int>(r - first);
      }
    }
    if (n_chosen == 0) continue;
    std::fill(work.highest.begin(), work.highest.end(), -std::numeric_limits<float>::infinity());
    const std::int64_t begin = target.bounded ? g * pairs_per_group_ : 0;
    const std::int64_t end = target.bounded
                                 ? std::min(target.panels->n_pairs, begin + pairs_per_group_)
                                 : target.panels->n_pairs;
    for (std::int64_t pair = begin; pair < end; ++pair) {
      sweep_pair(target, pair, first, n_chosen, work);
    }
    if (target.bounded) keep_bounds(first, n_chosen, g, work);
  }
  settle(target, first, work);
}

// Rows whose bound does not exclude the group.
int ScreenNearest::choose(std::int64_t first, std::int64_t last, std::int64_t group,
                          Work& work) const {
  const auto drift = static_cast<float>(drift_[group] * (1.0 + 1e-6));
  const float* bounds = bounds_.data() + group;
  int n = 0;
  for (std::int64_t r = first; r < last; ++r) {
    const auto i = static_cast<std::int32_t>(r - first);
    work.chosen[n] = i;
    const bool excluded = work.near[i] < bounds[r * n_groups_] - drift;
    n += !excluded && codes_.norm[r] < kWildNorm ? 1 : 0;
  }
  return n;
}

void ScreenNearest::sweep_pair(const Target& target, std::int64_t pair, std::int64_t first,
                               int n_chosen, Work& work) const {
  const CentroidPanels& panels = *target.panels;
  const float reach = panels.reach[pair];
  const float error = panels.error[pair];
  const auto rounding = static_cast<float>(space_.rounding);
  for (int j = 0; j < n_chosen; ++j) {
    const std::int32_t i = work.chosen[j];
    const std::int64_t r = first + i;
    const float both = codes_.norm[r] + reach;
    const float slack = codes_.residual[r] * reach + (codes_.norm[r] + codes_.residual[r]) * error +
                        rounding * both * both + 1e-30F;
    work.slack[i] = slack * (1.0F + kSure);
    const float limit =
        (static_cast<float>(work.lower[i]) - work.slack[i] * (1.0F + kSure)) * codes_.weight[r];
    work.limit[i] = std::max(limit, std::numeric_limits<float>::lowest());
  }
  NearestRows rows;
  rows.codes = codes_.codes(first);
  rows.row_bytes = codes_.row_bytes();
  rows.start = codes_.start.data() + first;
  rows.weight = codes_.weight.data() + first;
  rows.limit = work.limit.data();
  PanelPair centroids;
  centroids.data = panels.data.data() + pair * 128 * space_.groups;
  centroids.scale = panels.scale.data() + pair * kPair;
  centroids.bias = panels.bias.data() + pair * kPair;
  const std::int64_t n_hits = kernels_.screen(rows, work.chosen.data(), n_chosen, centroids,
                                              space_.groups, work.top.data(), work.hits.data());
  for (std::int64_t h = 0; h < n_hits; ++h) {
    const PanelHit& hit = work.hits[static_cast<std::size_t>(h)];
    const std::int64_t r = first + hit.query;
    const float value = codes_.step[r] * hit.value;
    const float reachable = value + work.slack[hit.query];
    work.candidates.push_back({static_cast<std::int32_t>(hit.query),
                               static_cast<std::int32_t>(pair * kPair + hit.row), reachable});
    const double sure = static_cast<double>(value) - static_cast<double>(work.slack[hit.query]);
    if (sure > work.lower[hit.query]) work.lower[hit.query] = sure;
  }
  for (int j = 0; j < n_chosen; ++j) {
    const std::int32_t i = work.chosen[j];
    const float reachable = codes_.step[first + i] * work.top[j] + work.slack[i];
    work.highest[i] = std::max(work.highest[i], reachable);
  }
}

// No centroid of the group has v above `highest`, so none is nearer than this.
void ScreenNearest::keep_bounds(std::int64_t first, int n_chosen, std::int64_t group,
                                const Work& work) {
  const auto drift = static_cast<float>(drift_[group]);
  for (int j = 0; j < n_chosen; ++j) {
    const std::int32_t i = work.chosen[j];
    const float norm = codes_.norm[first + i];
    const float square = std::max(0.0F, norm * norm - 2.0F * work.highest[i]);
    const float bound = std::sqrt(square) * (1.0F - kSure) + drift * (1.0F - kSure);
    bounds_[static_cast<std::size_t>((first + i) * n_groups_ + group)] = bound;
  }
}

void ScreenNearest::settle(const Target& target, std::int64_t first, Work& work) const {
  const ScanF64 l2 = pair_kernels().l2_exact[static_cast<int>(Kind::kFloat32)];
  const std::int64_t dim = rows_.dim;
  for (const Candidate& candidate : work.candidates) {
    const std::int64_t r = first + candidate.row;
    const bool wild = codes_.norm[r] >= kWildNorm;
    const double enough = work.lower[candidate.row] - std::fabs(work.lower[candidate.row]) * 1e-6;
    if (!wild && static_cast<double>(candidate.reachable) < enough) continue;
    const std::int32_t number = (*target.order)[candidate.position];
    const std::int32_t label = target.first + number;
    if (label == target.labels[r]) continue;
    double square = 0.0;
    l2(rows_.row(r), target.centroids + number * dim, nullptr, 1, dim, &square);
    if (square < target.squared[r] || (square == target.squared[r] && label < target.labels[r])) {
      target.squared[r] = square;
      target.labels[r] = label;
    }
  }
}

}  // namespace

std::unique_ptr<Nearest> make_screen_nearest(const FloatRows& rows, int n_threads) {
  return std::make_unique<ScreenNearest>(rows, n_threads);
}

}  // namespace vl
