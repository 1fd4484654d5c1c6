// SPDX-License-Identifier: Apache-2.0
// Codes of rows in the order of inverted lists, laid out for two tests of falling speed.
//
// With O, c, y, u, value(q, x) = a (q'.x') + b as in screen.h, rotated so that the leading `head`
// dimensions carry most of a row's length. Each list takes places from a multiple of 32 on:
//   head   y_h ~ s code, int8, in panels of 16 rows: all queries of a list at once (simd/panel.h)
//   rest   y_r ~ s_r (level - shift), 8 or 4 bits, row by row: the few pairs that the head leaves
//          (simd/levels.h)
// A row may stand in two lists; `other` names the second one at each of its places. Its codes
// stand at both, so that a list is read in one stream.
//
// A pair (q, x) is kept by its head when
//   a s t (codes . codes) + a reach |u_r| |y_r| + b_h + E >= threshold,      reach <= 1,
// where reach = 1 is Cauchy's bound, hence a proof, and less was measured on true neighbours
// (lists.h). l2 takes b_h = -|y_h|^2 and bounds the rest, 2 u_r.y_r - |y_r|^2, by reach^2 |u_r|^2.
// E is that of screen.h, with maxima over a list. Where codes are final, y is what they decode to
// (under cosine divided by its length), and E is the error of the query's code alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "base/rows.h"
#include "index/screen.h"

namespace vl {

struct ListShape {
  Metric metric = Metric::kIp;
  std::int64_t dim = 0;
  std::int64_t head = 0;  // rotated dimensions of the head, a multiple of 64; zeros beyond dim
  int rest_bits = 8;      // 8 or 4
  bool final = false;     // rows are what their codes decode to, and nothing else is kept of them
  std::int64_t n_lists = 0;
  std::int64_t places = 0;
  double kappa = 0.0;  // bound of what rotating adds to errors, as a share of |x'|

  std::int64_t rest() const { return dim > head ? dim - head : 0; }
  std::int64_t rest_bytes() const { return (rest() * rest_bits + 7) / 8; }
  std::int64_t rotated() const { return head + rest(); }
};

// What a place holds beside its codes.
struct ListArrays {
  const std::int32_t* order = nullptr;  // row at each place, -1 for none
  // The row's other list, -1 for none, or -2 - it where this place is in the second one; null: no
  // row has two.
  const std::int32_t* other = nullptr;
  const std::int64_t* starts = nullptr;  // n_lists + 1 places, multiples of 32
  const std::uint8_t* head = nullptr;
  const std::uint8_t* rest = nullptr;
  const float* scale = nullptr;         // a s
  const float* rest_scale = nullptr;    // a s_r
  const float* tail = nullptr;          // a |y_r|
  const float* bias = nullptr;          // l2: -|y_h|^2
  const BlockMaxima* maxima = nullptr;  // of each list
  const float* rotation = nullptr;      // (rotated, dim)
  const float* center = nullptr;        // l2: (dim,)
};

class ListCodes {
 public:
  // Codes the rows r with labels[r] >= 0; others[r] is a second list or -1, null for none at all.
  ListCodes(const ListShape& shape, const float* rotation, double rotation_error,
            const float* center, const Rows& rows, const double* norms, const std::int32_t* labels,
            const std::int32_t* others, std::int64_t n_labels, int n_jobs);
  // Views over arrays that the caller keeps alive.
  ListCodes(const ListShape& shape, const ListArrays& arrays);

  const ListShape& shape() const { return shape_; }
  const ListArrays& arrays() const { return arrays_; }
  std::size_t bytes() const;
  // Subtracted from a level of the rest.
  float shift() const { return shape_.rest_bits == 8 ? 128.0F : 7.5F; }

  // out (m, rotated) = P (values - centre), float32 products.
  void rotate(const float* values, std::int64_t m, float* out) const;
  // y (rotated,) of the row at a place as its codes have it; of unit length under cosine.
  void decode(std::int64_t place, float* y) const;

 private:
  struct Owned {
    AlignedBuffer<std::int32_t> order, other;
    AlignedBuffer<std::int64_t> starts;
    AlignedBuffer<std::uint8_t> head, rest;
    AlignedBuffer<float> scale, rest_scale, tail, bias, rotation, center;
    AlignedBuffer<BlockMaxima> maxima;
  };
  struct Coded;

  void pack_rotation();
  void allocate(const std::int32_t* labels, const std::int32_t* others, std::int64_t n);
  void encode(float* rotated, double square, double norm, Coded& out) const;
  void put(std::int64_t place, const Coded& coded);

  ListShape shape_;
  ListArrays arrays_;
  Owned owned_;
  AlignedBuffer<float> rotation_panels_;
};

}  // namespace vl
