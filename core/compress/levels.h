// SPDX-License-Identifier: Apache-2.0
// One family for all codes of unsigned integer levels: scalar, LVQ, RaBitQ, signs.
//
// A coded row stands for  x_i = mean_i + weight_i * (a * l_i + b)  with levels l_i of 1..8 bits.
// mean (one of several centroids) and weight (one a dimension) belong to the calibration; a and b
// are one pair a row (LVQ), follow from one number a row (RaBitQ: b = -a * middle), or are 1 and 0
// (scalar, signs). A second level of bits cuts the steps of the first into finer ones: l_i =
// first_i + second_i / (2^r - 1) - 1/2.
//
// Scores are integer products of the levels with a quantized query q' = q * weight,
//   <q, x> = <q, mean> + a * step * (sum v_i l_i - middle * sum v_i) + (a * middle + b) * sum q'_i,
// v_i = round(q'_i / step). One digit: |v| <= 127, step = max|q'| / 127, for codes of up to 4 bits;
// two digits: v = 128 * high + low, |v| <= 16319, for more. Error bound against the exact product
// with the decoded row: |a| * (step / 2) * sum |l_i - middle|, plus float32 rounding of the few
// last operations (8 * 2^-24 of the sum of the absolute terms).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "simd/levels.h"

namespace vl {

enum class LevelFactors : int {
  kNone = 0,  // a = 1, b = 0
  kAffine,    // a and b as float16: LVQ
  kRescaled,  // a = |x|^2 / <l - middle, x> and |x|, x centred, as float16: RaBitQ
};

struct LevelCalibration {
  std::int64_t dim = 0;
  int bits = 8;           // of the first level, 1..8
  int residual_bits = 0;  // of the second level, 0 for none
  LevelFactors factors = LevelFactors::kNone;
  float units[2] = {1.0f, 1.0f};  // a float16 factor counts in these
  std::vector<float> means;       // (n_centroids, dim), n_centroids >= 1, not rotated
  std::vector<float> weight;      // (dim), not negative, or empty for 1
  std::vector<float> signs;       // (rounds, dim) of +-1: rows and queries are rotated; empty: not
};

struct LevelPlane {
  int bits;
  int shift;  // of the plane's lowest bit within its level
  bool residual;
  float scale;          // what one unit of the plane counts, in levels
  std::int64_t offset;  // bytes from the start of a row
};

// A query ready to meet codes: made once, read by all threads.
struct LevelQuery {
  int n_digits = 1;
  float step = 0.0f;
  float total = 0.0f;    // sum v_i
  float sum = 0.0f;      // sum q'_i
  float squares = 0.0f;  // |q|^2
  AlignedBuffer<std::int8_t> digits;
  std::vector<std::int64_t> starts;  // of each plane's digits
  std::vector<float> products;       // <q, mean> for each centroid
};

// Encodes, decodes and scores rows of one calibration. Immutable once made.
class LevelCodec {
 public:
  explicit LevelCodec(LevelCalibration calibration);

  std::int64_t dim() const { return calibration_.dim; }
  std::int64_t row_bytes() const { return row_bytes_; }
  // The leading bytes that hold all but the second level.
  std::int64_t first_level_bytes() const { return first_bytes_; }
  std::int64_t n_centroids() const { return n_centroids_; }

  // x (n, dim) to out (n, row_bytes). `labels` names the centroid of each row (null: the first).
  // The same bytes at any n_jobs and any CPU level.
  void encode(const float* x, const std::int32_t* labels, std::int64_t n, std::uint8_t* out,
              int n_jobs) const;
  // The nearest point on the line of the code: for kRescaled that is shorter than what scores use.
  void decode(const std::uint8_t* codes, std::int64_t n, float* out, int n_jobs) const;
  // |x|^2 of each decoded row; for kRescaled from the stored norm, which is the better estimate.
  void norms(const std::uint8_t* codes, std::int64_t n, float* out, int n_jobs) const;
  // (n, 3): a, the second factor (b or |x|), |l - middle|.
  void row_factors(const std::uint8_t* codes, std::int64_t n, float* out) const;

  LevelQuery prepare(const float* query) const;  // of dim() elements, not rotated
  // <query, row> for rows j of `codes`, `stride` bytes apart (>= row_bytes), or for the rows
  // listed. `first_only` reads the first level alone. Scratch lives on the stack: any thread may
  // call.
  void score(const LevelQuery& query, const std::uint8_t* codes, std::int64_t stride,
             const std::int64_t* rows, std::int64_t n, bool first_only, float* out) const;
  // All pairs: out (n_queries, n). metric 0 ip, 1 minus squared l2, 2 cosine.
  void scores(const float* queries, std::int64_t n_queries, const std::uint8_t* codes,
              std::int64_t n, int metric, bool first_only, float* out, int n_jobs) const;

 private:
  struct Scratch;
  struct Factors {
    float a, b;    // as they enter the formula
    float second;  // as stored: b or |x|
    std::int64_t centroid;
  };
  // Names beyond the last centroid, which no encoder writes, count as the last.
  std::size_t centroid_of(const std::uint8_t* id) const {
    std::size_t name = id[0];
    if (id_bytes_ == 2) name |= static_cast<std::size_t>(id[1]) << 8;
    return std::min(name, static_cast<std::size_t>(n_centroids_ - 1));
  }
  Factors factors_of(const std::uint8_t* row) const;
  void encode_row(const float* x, std::int64_t centroid, std::uint8_t* out, Scratch& scratch) const;
  Factors encode_affine(Scratch& scratch, const CenteredRow& row) const;
  Factors encode_rescaled(Scratch& scratch, const CenteredRow& row) const;
  std::vector<double> first_steps(const CenteredRow& row, double deviation) const;
  void encode_residual(Scratch& scratch, const Factors& factors) const;
  void pack(const std::uint8_t* levels, bool residual, std::uint8_t* out, Scratch& scratch) const;
  void unpack(const std::uint8_t* row, bool residual, std::uint8_t* levels, Scratch& scratch) const;
  void decode_row(const std::uint8_t* row, bool shrink, float* out, Scratch& scratch) const;
  float level_length(Scratch& scratch) const;
  LevelQuery prepare_rotated(const float* query) const;
  float norm_of(const std::uint8_t* row, Scratch& scratch) const;
  // The query whose scores give the norms of kRescaled rows around one centroid, without decoding.
  std::vector<LevelQuery> norm_query() const;
  void norms_block(const std::vector<LevelQuery>& with, const std::uint8_t* codes, std::int64_t n,
                   float* out, Scratch& scratch) const;
  void score_block(const LevelQuery& query, const std::uint8_t* codes, std::int64_t stride,
                   const std::int64_t* rows, std::int64_t n, bool first_only, float* out) const;
  void rotate(float* x, bool inverse) const;
  const float* mean(std::int64_t centroid) const {
    return calibration_.means.data() + centroid * calibration_.dim;
  }
  const float* weight() const {
    return calibration_.weight.empty() ? nullptr : calibration_.weight.data();
  }

  LevelCalibration calibration_;
  std::vector<LevelPlane> planes_;
  std::vector<float> inverse_;  // 1 / weight, 0 where the weight is too small for it
  std::int64_t n_centroids_ = 1;
  std::int64_t factor_offset_ = 0, id_offset_ = 0, first_bytes_ = 0, row_bytes_ = 0;
  int id_bytes_ = 0;
  float top_ = 0.0f, middle_ = 0.0f, residual_top_ = 0.0f;
};

}  // namespace vl
