// SPDX-License-Identifier: Apache-2.0
// Inner products of sparse, non-negative rows: lists of postings, and the k best rows of a query.
//
//   score(q, x) = sum over terms t of both, ascending, of double(q_t) * double(x_t)   in float64
//
// A posting is a row and a value of 8 bits, v = ceil(x_t / step_t) with step_t = (largest x_t) /
// 255. A search gives each pair (t, v) of its query a whole number of *units*, ceil(q_t step_t v /
// unit), the unit such that all its terms together stay below 2^16, and adds them up. The sum u of
// a row is then an upper bound, too high by at most E = sum over t of (ceil(q_t step_t / unit) +
// 2):
//
//   u - E  <=  score / unit  <=  u
//
// Lists are cut into windows of kWindow rows, whose sums fit into a first-level cache, and postings
// of a list in a window are in descending order of v, so that the first tells their bound. Exact
// search leaves out, in each window, the lists of smallest bound that together cannot reach the
// k-th best lower bound so far (MaxScore with block maxima: Turtle and Flood 1995, Ding and Suel
// 2011). Rows that could still get there are scored from their own values, or those lists added
// after all, whichever is less work. At the end all rows whose upper bound reaches the k-th best
// lower bound are scored by the formula above: the answer is that of scoring every row.
//
// Approximate search leaves out postings that contribute less than a share `skip` of what all terms
// could, ranks by the sums of the others, and scores the best `rescored` rows by the formula. It is
// impact-ordered retrieval (Anh and Moffat 2006; Lin and Trotman 2015) with exact re-scoring.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"

namespace vl {

inline constexpr std::int64_t kWindow = 8192;
// Lists of at least so many postings know where each window begins in them.
inline constexpr std::int64_t kMarkedFrom = 64;

// Rows in compressed form: terms of row r at [starts[r], starts[r + 1]), ascending.
struct SparseRows {
  const std::int64_t* starts = nullptr;
  const std::int32_t* terms = nullptr;
  const float* weights = nullptr;
  std::int64_t n = 0;
};

// The other way around, for the first n rows.
struct PostingArrays {
  const std::int64_t* starts = nullptr;  // (n_terms + 1,)
  const std::uint16_t* low = nullptr;    // row % 65536
  const std::uint16_t* high = nullptr;   // row / 65536
  const std::uint8_t* values = nullptr;  // descending within a window, equal ones by row
  const float* steps = nullptr;          // (n_terms,)
  const std::int32_t* marked = nullptr;  // (n_terms,) its line in marks, or -1
  const std::uint32_t* marks = nullptr;  // (n_marked, n_windows + 1) places from the list's start
  std::int64_t n_terms = 0, n = 0, n_marked = 0;
  std::int64_t n_windows() const { return (n + kWindow - 1) / kWindow; }
  std::int64_t row(std::int64_t posting) const {
    return static_cast<std::int64_t>(high[posting]) << 16 | low[posting];
  }
};

// Owns what PostingArrays names, or looks at arrays of a file.
class Postings {
 public:
  Postings(const SparseRows& rows, std::int64_t n_terms, int n_jobs);
  explicit Postings(const PostingArrays& arrays) : arrays_(arrays) {}
  const PostingArrays& arrays() const { return arrays_; }

 private:
  void fill(const SparseRows& rows);
  void mark(int n_jobs);
  void mark(std::size_t term);

  PostingArrays arrays_;
  AlignedBuffer<std::int64_t> starts_;
  AlignedBuffer<std::uint16_t> low_, high_;
  AlignedBuffer<std::uint8_t> values_;
  AlignedBuffer<float> steps_;
  AlignedBuffer<std::int32_t> marked_;
  AlignedBuffer<std::uint32_t> marks_;
};

struct SparseSearch {
  SparseRows rows;  // all; those behind the postings' are scored one by one
  SparseRows queries;
  const std::uint8_t* mask = nullptr;  // one byte a row, or all
  const std::int64_t* ties = nullptr;  // what equal scores are ordered by, or positions
  std::int64_t n_matches = 0;          // rows that the mask leaves
  std::int64_t k = 0;
  double skip = 0.0;  // share of the largest possible score below which postings are left out
  std::int64_t rescored = 0;  // rows scored exactly; 0: exact search
  int n_jobs = 1;
};

struct SparseAnswer {
  std::int64_t* positions;  // (n_queries, k), -1 where there is none
  double* scores;           // (n_queries, k), -inf
  std::int64_t* counts;     // (n_queries,)
};

void search_sparse(const Postings& postings, const SparseSearch& search,
                   const SparseAnswer& answer);

}  // namespace vl
