// SPDX-License-Identifier: Apache-2.0
// Points of a graph in two codes: int8 in the layout of block products, for the build, and a short
// code of the head, in whole cache lines, for the search.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "base/scratch.h"
#include "index/points.h"
#include "index/table.h"
#include "linalg/turn.h"

namespace vl {

inline constexpr std::int64_t kMostFloats = 32;

// y = M (x - m), M square but for rows of zeros. Few dimensions are kept as floats, and then y is
// computed as such.
class Space {
 public:
  Space(const float* matrix, std::int64_t m, std::int64_t dim, const float* origin);
  std::int64_t size() const { return m_; }
  Turn::Scratch scratch() const { return turn_.scratch(); }
  // n <= kTurnRows rows, to scratch.out, stride() apart; of each the first `wanted` elements.
  void apply(const float* x, int n, std::int64_t wanted, Turn::Scratch& scratch) const;
  // |x - m|^2, which is |y|^2: M is orthonormal.
  float square(const float* x) const { return squared_distance(x, origin_.data(), dim_); }
  std::int64_t stride() const { return turn_.stride(); }

 private:
  std::int64_t m_, dim_;
  Turn turn_;
  std::vector<float> matrix_;           // where dim is kMostFloats at most
  std::vector<float> origin_, offset_;  // m; M m
};

// Nodes as int8, row-major as queries and side by side in panels. Lists start at whole pairs of
// panels.
struct BlockCodes {
  std::int64_t n = 0;
  int groups = 0;
  std::int64_t row_bytes = 0;
  ScratchBuffer<std::int8_t> rows;       // (n + kQueryPad, row_bytes)
  ScratchBuffer<std::uint8_t> panels;    // (pairs, 2 panels)
  std::vector<std::int64_t> first_pair;  // of each list, and one behind the last
  std::vector<float> slot_step;          // of each place in the panels: s, 0 where empty
  std::vector<float> slot_half;          // -|y|^2 / 2, -inf where empty
  std::vector<float> step, inverse;      // of each node: s, 1 / s
  std::vector<float> square;             // |y|^2
  std::vector<std::int32_t> start;       // -128 sum of codes
};

// A query as head codes are scored against.
struct HeadQuery {
  std::vector<std::int8_t> digits;
  AlignedBuffer<std::int8_t> arranged;
  std::vector<float> values;  // of floats: y, zeros, 1
  float step = 0.0F, middle = 0.0F;
  std::vector<std::int32_t> dots;
};

// Rows of whole cache lines. 4 or 8 bits an element: levels l, then a and b, scored as
//   a step (sum v_i l_i - middle sum v_i) + b,   v_i the digits of the query, seven bits and a
//   sign;
// 32 bits: y, zeros, then b, scored as <q, y> + b. b = -|y|^2 / 2 of the whole y, so that a score
// is about <q, y> - |y|^2 / 2.
struct HeadCodes {
  std::int64_t dim = 0;
  int bits = 4;
  Table<std::uint8_t> rows;

  static std::int64_t stride_of(std::int64_t dim, int bits);
  std::int64_t stride() const { return rows.width(); }
  std::int64_t factors() const { return dim * bits / 8; }
  // y of all the space's elements; `levels` is room for dim bytes.
  void encode(const float* y, float square, std::uint8_t* levels, std::uint8_t* out) const;
  HeadQuery query() const;
  void prepare(const float* y, HeadQuery& query) const;
  void prepare_digits(const std::int8_t* digits, float step, HeadQuery& query) const;
  // values of n rows of `base`; rows null for the first n.
  void score(const std::int64_t* nodes, std::int64_t n, const std::uint8_t* base, HeadQuery& query,
             float* values) const;
};

// `row_of`: the row of each node, list by list; `points` (n_rows, dim).
void encode_graph_rows(const float* points, std::int64_t dim, const Space& space,
                       const Table<std::int32_t>& row_of,
                       const std::vector<std::int64_t>& list_first, int n_threads, Scratch& scratch,
                       BlockCodes& block, HeadCodes& head);

}  // namespace vl
