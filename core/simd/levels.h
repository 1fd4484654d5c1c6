// SPDX-License-Identifier: Apache-2.0
// Unsigned integer levels in bit planes: packing them, choosing them, and their exact integer
// products with a quantized query. See core/simd/levels/README.md for the layout and the bounds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/cpu.h"

namespace vl {

// A plane of `bits` = 8, 4, 2 or 1 bits an element, in blocks of 64 bytes. Element k * h + j of a
// block of h bytes (h = 64, less in the last block) is in byte j, bits k * bits and up. A plane of
// one bit has its elements in order, low bits first, as numpy's packbits(bitorder="little").
constexpr std::int64_t kPlaneBlock = 64;
// Largest dimension whose products stay within int32: 255 * 127 * dim < 2^31.
constexpr std::int64_t kLevelsMaxDim = 65536;

constexpr int kPlaneKinds = 4;  // 8, 4, 2, 1 bits
constexpr int plane_kind(int bits) { return bits == 8 ? 0 : bits == 4 ? 1 : bits == 2 ? 2 : 3; }
constexpr int plane_bits(int kind) { return 8 >> kind; }
constexpr std::int64_t plane_bytes(int bits, std::int64_t dim) { return (dim * bits + 7) / 8; }
// int8 elements of one digit of a query arranged for a plane: whole blocks, zeros in the gaps.
constexpr std::int64_t plane_query_size(int bits, std::int64_t dim) {
  const std::int64_t a_block = kPlaneBlock * 8 / bits;
  return bits == 1 ? (dim + 63) / 64 * 64 : (dim + a_block - 1) / a_block * a_block;
}

// Writes one digit of a query, natural order, where the kernels of a plane want it:
// plane_query_size(bits, dim) elements.
void arrange_query(int bits, std::int64_t dim, const std::int8_t* digit, std::int8_t* out);

// out[d * n + j] = sum_i digit_d(i) * level_j(i) for `digits` digits of the query, each
// plane_query_size apart. `base` is the plane's first byte in row 0, rows are `stride` bytes apart;
// `rows` null means rows 0..n-1, else the row numbers to visit.
using DotLevels = void (*)(const std::uint8_t* base, std::int64_t stride, const std::int64_t* rows,
                           std::int64_t n, std::int64_t dim, const std::int8_t* query,
                           std::int32_t* out);

struct CenteredRow {
  float low, high;     // smallest and largest element
  float sum, squares;  // sum, and sum of squares
};
// out_i = (x_i - mean_i) * inverse_i; null mean is 0, null inverse 1. Sums in 16 float32 lanes,
// element i to lane i mod 16, product then sum, the same bits at every level.
using CenterRow = CenteredRow (*)(const float* x, const float* mean, const float* inverse,
                                  std::int64_t dim, float* out);

struct LevelSums {
  float sum;      // of the levels, exact
  float squares;  // of the levels, in 16 float32 lanes: exact up to 4096 dimensions
  float cross;    // sum level_i * x_i, in 16 float32 lanes
};
// levels_i = clamp(round_half_even(x_i * scale + shift), 0, top); top <= 255.
using QuantizeRow = LevelSums (*)(const float* x, std::int64_t dim, float scale, float shift,
                                  float top, std::uint8_t* levels);

// levels_i = clamp(round_half_even((x_i - mean_i) * inverse_i), 0, top); top <= 255.
using QuantizeDims = void (*)(const float* x, const float* mean, const float* inverse,
                              std::int64_t dim, float top, std::uint8_t* levels);

// Levels (already below 2^bits) into a plane, and back.
using PackPlane = void (*)(const std::uint8_t* levels, std::int64_t dim, std::uint8_t* plane);
using UnpackPlane = void (*)(const std::uint8_t* plane, std::int64_t dim, std::uint8_t* levels);

// out_i = mean_i + weight_i * (a * levels_i + b); null mean is 0, null weight 1.
// Product, sum, product, sum, each rounded.
using DecodeRow = void (*)(const std::uint8_t* levels, std::int64_t dim, const float* mean,
                           const float* weight, float a, float b, float* out);

// The rotation of core/linalg/hadamard.h in place: for each round flip signs (+-1, dim a round),
// then transform the first (even rounds) or last (odd rounds) 2^floor(log2 dim) elements,
// orthonormally.
using RotateRow = void (*)(float* x, std::int64_t dim, const float* signs, int rounds,
                           bool inverse);

// first[j] = units[0] * h0, second[j] = units[1] * h1 for the two finite float16 h0, h1 that stand
// at `base` in each row visited; rows as in DotLevels.
using ReadFactors = void (*)(const std::uint8_t* base, std::int64_t stride,
                             const std::int64_t* rows, std::int64_t n, const float* units,
                             float* first, float* second);

struct LevelKernels {
  SimdLevel level;
  DotLevels dot[kPlaneKinds][2];  // [plane_kind][digits - 1]
  PackPlane pack[kPlaneKinds];
  UnpackPlane unpack[kPlaneKinds];
  CenterRow center;
  QuantizeRow quantize;
  QuantizeDims quantize_dims;
  DecodeRow decode;
  RotateRow rotate;
  ReadFactors factors;
};

// The best kernels at or below `level`.
const LevelKernels& level_kernels(SimdLevel level);
inline const LevelKernels& level_kernels() { return level_kernels(active_simd_level()); }

}  // namespace vl
