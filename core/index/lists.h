// SPDX-License-Identifier: Apache-2.0
// Search of inverted lists: rows grouped around centroids, and each query looks at a few groups.
//
// With nearness(q, j) = <q, c_j>, or 2 <q, c_j> - |c_j|^2 for l2, and N(q) the mean of the five
// largest, a query probes the lists
//   L(q) = { j : nearness(q, j) >= N(q) - gap |q| } and the nearest      (l2: without |q|)
// or the n_probes nearest ones. The answer is
//   top k of { score(q, x) : x in a list of L(q) },   score in float64, ties by key.
// A row that stands in two probed lists is looked at in one of them. The mean of five is steadier
// than the largest alone: the same recall takes an eighth to a quarter fewer rows.
//
// Whatever the codes (lists_codes.h) propose is settled from the rows. What they rule out is ruled
// out under the bound E on the error of codes times `caution`, and a bound on the rest of a row
// after its head times `reach`. 1 and 1 are a proof, and then only the choice of lists is
// approximate. Rounding errors of a rotated row point in any direction, so that their product with
// a query of dim values has a standard deviation of about E / sqrt(dim): caution = 7 / sqrt(dim)
// leaves no more than about one miss in 10^11 products. The rest of a true neighbour is rarely
// parallel to that of the query: reach is a measured quantile.
//
// A range search asks for all rows of L(q) with score >= least(q). What it needs of L(q) grows with
// the range: with the nearness divided by |q| (l2: minus |q|^2), and N'(q) and least'(q) likewise,
// a row of score s stands in a list of nearness  level + slope s + along N' - r,  r a random
// remainder whose distribution was measured (index/dense/lists_range.py). So L(q) gains the
// lists with
//   nearness'(q, j) >= floor(q) + along N'(q),     floor(q) = level + slope least'(q) -
//   quantile(r).
// Codes rule rows out from the first list on, the threshold being known.
//
// Queries are grouped by list, so that a list is read once for all queries that probe it and every
// scan is a block product. Nearest lists come first: their rows set thresholds that rule out
// most of the others' by the head of their codes.
// Cost: (n_lists + dim) * dim bfloat16 multiply-adds (float32 where the CPU lacks them) for
// nearness and rotation, and sum |rows of L(q)| * head int8 ones; codes are read once a batch.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "index/exact.h"
#include "index/lists_codes.h"
#include "linalg/turn.h"

namespace vl {

struct Probing {
  std::int64_t n_probes = 0;  // so many lists; 0: by the gap
  float gap = 0.0F;
  double caution = 1.0;
  double reach = 1.0;
  // The k-th score is probably above N(q) / |q| + guess (ip: N(q) + guess |q|; l2: N(q) - |q|^2 +
  // guess), which rules out most rows from the start. Queries for which that was wrong are searched
  // again without. -inf: no guess.
  double guess = -std::numeric_limits<double>::infinity();
  bool on_disk = false;  // rows may have to be read: all of a query are asked for at once
  // Of range searches.
  const double* floors = nullptr;
  double along = 0.0;
};

class Lists {
 public:
  // Keeps references: the caller keeps `codes` and centroids (n_lists, dim) alive.
  Lists(const ListCodes& codes, const float* centroids);

  // As exact_search, over the probed lists alone. The query's screen is not used; `mask`, `ties`
  // and answers count rows as stored.
  void search(const ExactQuery& query, const Probing& probing, std::int64_t k,
              std::int64_t* positions, double* scores, std::int64_t* counts) const;

  // Rows of the probed lists whose score is at least least[q], best first. No guess is used.
  RangeResult range(const ExactQuery& query, const Probing& probing, const double* least) const;

  const ListCodes& codes() const { return codes_; }
  std::int64_t n_lists() const { return codes_.shape().n_lists; }
  // nearness of n <= kTurnRows queries, scratch.out[i * stride + list].
  void nearness(const float* queries, int n, Turn::Scratch& scratch) const;
  Turn::Scratch scratch() const { return turn_.scratch(); }
  std::int64_t stride() const { return turn_.stride(); }
  const Turn& rotation() const { return rotation_; }

 private:
  const ListCodes& codes_;
  Turn turn_;                   // by the centroids
  Turn rotation_;               // of queries
  std::vector<float> squares_;  // |c_j|^2, for l2
};

}  // namespace vl
