// SPDX-License-Identifier: Apache-2.0
// Search of inverted lists: rows grouped around centroids, and each query looks at a few groups.
//
// With nearness(q, j) = <q, c_j>, or 2 <q, c_j> - |c_j|^2 for l2, a query probes the lists
//   L(q) = { j : nearness(q, j) >= max_i nearness(q, i) - gap |q| }      (l2: without |q|)
// or the n_probes nearest ones. The answer is
//   top k of { score(q, x) : x in a list of L(q) },   score in float64, ties by key.
//
// Rows are coded list by list in a Screen (screen.h), each list from a multiple of 32 places on.
// Whatever the codes propose is settled from the rows. What they rule out is ruled out under the
// screen's bound E on the error of codes times `caution`: 1 is a proof, and then only the choice of
// lists is approximate. Rounding errors of a rotated row point in any direction, so that their
// product with a query of dim values has a standard deviation of about E / sqrt(dim), and
// caution = 7 / sqrt(dim) already leaves no more than about one miss in 10^11 products.
//
// Queries are grouped by list, so that a list is read once for all queries that probe it and every
// scan is a block product. Nearest lists come first: they set thresholds that rule out most of the
// others' rows by the head of their codes.
// Cost: n_lists * dim bfloat16 multiply-adds (float32 where the CPU lacks them) for the nearness,
// and at most sum |rows of L(q)| * dim int8 ones; codes are read once a batch.
#pragma once

#include <cstdint>
#include <vector>

#include "index/exact.h"
#include "linalg/turn.h"

namespace vl {

struct Probing {
  std::int64_t n_probes = 0;  // so many lists; 0: by the gap
  float gap = 0.0F;
  double caution = 1.0;
};

class Lists {
 public:
  // Views over arrays that the caller keeps alive: order[place] is the row there, -1 for none;
  // starts are n_lists + 1 places, multiples of 32; centroids (n_lists, dim).
  Lists(const Screen& screen, const std::int64_t* order, const std::int64_t* starts,
        std::int64_t n_lists, const float* centroids);

  // As exact_search, over the probed lists alone. The query's screen is not used; `mask`, `ties`
  // and answers count rows as stored.
  void search(const ExactQuery& query, const Probing& probing, std::int64_t k,
              std::int64_t* positions, double* scores, std::int64_t* counts) const;

  const Screen& screen() const { return screen_; }
  std::int64_t row_at(std::int64_t place) const { return order_[place]; }
  std::int64_t start(std::int64_t list) const { return starts_[list]; }
  std::int64_t n_lists() const { return n_lists_; }
  // nearness of n <= kTurnRows queries, scratch.out[i * turn stride + list].
  void nearness(const float* queries, int n, Turn::Scratch& scratch) const;
  Turn::Scratch scratch() const { return turn_.scratch(); }
  std::int64_t stride() const { return turn_.stride(); }

 private:
  const Screen& screen_;
  const std::int64_t* order_;
  const std::int64_t* starts_;
  std::int64_t n_lists_;
  Turn turn_;
  std::vector<float> squares_;  // |c_j|^2, for l2
};

}  // namespace vl
