// SPDX-License-Identifier: Apache-2.0
// An int8 copy of float rows, rotated and laid out for block products, that proposes candidates
// under a rigorous error bound. Nothing it says is final: Candidates settles every proposal in
// float64.
//
// Let O be the orthonormal matrix nearest to the stored rotation P, c the centre (l2 only, else 0),
// and for a row x' = x - c, y = O x'; for a query q' = q - c, u = O q'. Codes: y ~ s*code, u ~
// t*code_q, with a step for the head and a finer one for the rest, which is shorter. Then
//   value(q, x) = a (q'.x') + b,   a, b = 1/|x|, 0 (cosine); 1, 0 (ip); 2, -|x'|^2 (l2),
// orders rows as the score does: score = value/|q|, value, value - |q'|^2. With u.y = u_head.y_head
// + u_tail.y_tail the kernels keep (q, x) when
//   a s t (codes . codes over the head) + |u_tail| (a |y_tail|) + b + E >= threshold,
// and afterwards when the same holds over all groups without the tail term. The slack covers
// rounding:
//   E = (|u - t code_q|) max a|x'| + |t code_q| max a|y - s code| + 2^-20 (all terms' magnitudes),
// maxima over a block of 1,024 rows. |y - s code| is measured at build time on the float32 product
// P x', whose own error is at most kappa |x'|:  kappa = |P - O| + (dim + 4) 2^-24 |P|_F.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned.h"
#include "base/rows.h"

namespace vl {

inline constexpr std::int64_t kScreenBlock = 1024;  // rows that share one set of maxima

struct ScreenShape {
  Metric metric = Metric::kIp;
  std::int64_t n = 0;
  std::int64_t dim = 0;
  int groups = 0;       // 4 dimensions each, a multiple of 16
  int head_groups = 0;  // tested first; equals groups when there is no head
  double kappa = 0.0;
  double largest_norm = 0.0;  // of the rows as stored
};

struct BlockMaxima {
  float reach;  // a |x'|
  float error;  // a |y - s code|
  float bias;   // |b|
  float unused;
};

class Screen {
 public:
  // `rotation` is (4 * groups, dim) row-major float32, `rotation_error` a bound of |P - O|
  // (spectral norm).
  Screen(Metric metric, std::int64_t dim, int head_groups, const float* rotation,
         double rotation_error, const float* center);
  // Views over arrays that the caller keeps alive.
  Screen(const ScreenShape& shape, const float* rotation, const float* center,
         const std::uint8_t* head, const std::uint8_t* rest, const float* scale,
         const float* rest_scale, const float* tail, const float* bias, const BlockMaxima* blocks);

  // Encodes rows [shape().n, rows.n). `norms` are those of all rows (cosine only).
  void append(const Rows& rows, const double* norms, int n_jobs);
  // Encodes into an empty screen row order[i] at place i, for every i below n; places of -1 stay
  // empty, and callers drop what is proposed there.
  void fill(const Rows& rows, const double* norms, const std::int64_t* order, std::int64_t n,
            int n_jobs);

  const ScreenShape& shape() const { return shape_; }
  std::int64_t padded_rows() const { return (shape_.n + 31) / 32 * 32; }
  std::int64_t n_blocks() const { return (shape_.n + kScreenBlock - 1) / kScreenBlock; }
  std::int64_t rotated_dim() const { return static_cast<std::int64_t>(shape_.groups) * 4; }
  std::int64_t head_dim() const { return static_cast<std::int64_t>(shape_.head_groups) * 4; }
  std::int64_t rest_dim() const { return rotated_dim() - head_dim(); }
  const float* rotation() const { return rotation_; }
  const float* center() const { return center_; }
  const std::uint8_t* head() const { return head_; }  // panels of the head groups
  const std::uint8_t* rest() const { return rest_; }  // panels of the groups after them
  const float* scale() const { return scale_; }
  const float* rest_scale() const { return rest_scale_; }
  const float* tail() const { return tail_; }
  const float* bias() const { return bias_; }
  const BlockMaxima* blocks() const { return blocks_; }
  std::size_t bytes() const;

  // out (m, rotated_dim) = P (values - centre) for m float32 vectors of `dim`, row-major.
  void rotate(const float* values, std::int64_t m, float* out) const;

 private:
  struct Owned {
    AlignedBuffer<float> rotation, center, scale, rest_scale, tail, bias;
    AlignedBuffer<std::uint8_t> head, rest;
    AlignedBuffer<BlockMaxima> blocks;
  };

  void pack_rotation();
  void reserve(std::int64_t n);
  // Rows that wait to be rotated together, by place.
  struct Waiting;
  void encode_block(const Rows& rows, const double* norms, const std::int64_t* order,
                    std::int64_t first, std::int64_t last);
  void encode_waiting(const Rows& rows, const double* norms, Waiting& waiting, BlockMaxima& maxima);
  // Writes the codes and per-row terms of row r; `square` is |x'|^2, `norm` is |x|.
  void encode_row(std::int64_t r, const float* rotated, double square, double norm,
                  BlockMaxima& maxima);

  ScreenShape shape_;
  Owned owned_;
  std::int64_t capacity_ = 0;
  AlignedBuffer<float> rotation_panels_;
  const float* rotation_ = nullptr;
  const float* center_ = nullptr;
  const std::uint8_t* head_ = nullptr;
  const std::uint8_t* rest_ = nullptr;
  const float* scale_ = nullptr;
  const float* rest_scale_ = nullptr;
  const float* tail_ = nullptr;
  const float* bias_ = nullptr;
  const BlockMaxima* blocks_ = nullptr;
};

}  // namespace vl
