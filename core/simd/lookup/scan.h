// SPDX-License-Identifier: Apache-2.0
// Table sums written once, over an Ops type that a level file provides. Included only by level
// files: nothing here has external linkage.
#pragma once

#include <cstdint>
#include <utility>

#include "simd/lookup/plain.h"

namespace vl {
namespace {

template <class Body, int... I>
inline __attribute__((always_inline)) void unrolled(std::integer_sequence<int, I...>,
                                                    const Body& body) {
  (body(std::integral_constant<int, I>{}), ...);
}

template <int N, class Body>
inline __attribute__((always_inline)) void unrolled(const Body& body) {
  unrolled(std::make_integer_sequence<int, N>{}, body);
}

#define VL_UNROLLED(index) [&](auto index) __attribute__((always_inline))

// kRows rows x 16 queries in registers; Ops::Many holds 16 float32.
template <class Ops, int kRows>
inline __attribute__((always_inline)) void bytes_rows(const float* tables, int n_parts,
                                                      int n_codewords, const std::uint8_t* codes,
                                                      std::int64_t code_stride, float* out) {
  typename Ops::Many sums[kRows];
  unrolled<kRows>(VL_UNROLLED(r) { sums[r] = Ops::load_many(out + r * kLookupQueries); });
  const float* values = tables;
  for (int part = 0; part < n_parts; ++part) {
    unrolled<kRows>(VL_UNROLLED(r) {
      const std::int64_t code = codes[r * code_stride + part];
      sums[r] = Ops::add_many(sums[r], Ops::load_many(values + code * kLookupQueries));
    });
    values += static_cast<std::int64_t>(n_codewords) * kLookupQueries;
  }
  unrolled<kRows>(VL_UNROLLED(r) { Ops::store_many(out + r * kLookupQueries, sums[r]); });
}

template <class Ops>
void bytes_many(const float* tables, int n_parts, int n_codewords, const std::uint8_t* codes,
                std::int64_t code_stride, std::int64_t n, float* out) {
  constexpr int kRows = Ops::kManyRows;
  std::int64_t row = 0;
  for (; row + kRows <= n; row += kRows) {
    bytes_rows<Ops, kRows>(tables, n_parts, n_codewords, codes + row * code_stride, code_stride,
                           out + row * kLookupQueries);
  }
  for (; row < n; ++row) {
    bytes_rows<Ops, 1>(tables, n_parts, n_codewords, codes + row * code_stride, code_stride,
                       out + row * kLookupQueries);
  }
}

// kQueries queries against one block of 4-bit codes, entries of float32.
template <class Ops, int kQueries>
inline __attribute__((always_inline)) void nibble_block(const float* tables, int n_parts,
                                                        const std::uint8_t* codes, float* out,
                                                        std::int64_t out_stride) {
  const std::int64_t query = static_cast<std::int64_t>(n_parts) * kNibbleEntries;
  typename Ops::Rows sums[kQueries];
  unrolled<kQueries>(VL_UNROLLED(q) { sums[q] = Ops::zero_rows(); });
  for (int part = 0; part < n_parts; ++part) {
    const typename Ops::Index index = Ops::load_index(codes + part * kNibbleEntries);
    unrolled<kQueries>(VL_UNROLLED(q) {
      sums[q] = Ops::look_up(sums[q], tables + q * query + part * kNibbleEntries, index);
    });
  }
  unrolled<kQueries>(VL_UNROLLED(q) { Ops::store_rows(out + q * out_stride, sums[q]); });
}

template <class Ops>
void nibbles(const float* tables, int n_queries, int n_parts, const std::uint8_t* blocks,
             std::int64_t n_blocks, float* out, std::int64_t out_stride) {
  constexpr int kQueries = Ops::kFloatQueries;
  const std::int64_t query = static_cast<std::int64_t>(n_parts) * kNibbleEntries;
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    const std::uint8_t* codes = blocks + block * query;
    int q = 0;
    for (; q + kQueries <= n_queries; q += kQueries) {
      nibble_block<Ops, kQueries>(tables + q * query, n_parts, codes,
                                  out + q * out_stride + block * kNibbleRows, out_stride);
    }
    for (; q < n_queries; ++q) {
      nibble_block<Ops, 1>(tables + q * query, n_parts, codes,
                           out + q * out_stride + block * kNibbleRows, out_stride);
    }
  }
}

// kQueries queries against one block, entries of 8 bits. Each register of entries is added as
// 16-bit lanes twice: as it is (the even bytes plus 256 times the odd ones) and shifted down (the
// odd bytes); the first minus 256 times the second leaves the even bytes, modulo 2^16.
template <class Ops, int kQueries>
inline __attribute__((always_inline)) void nibble_block_u8(const std::uint8_t* tables, int n_parts,
                                                           const std::uint8_t* codes,
                                                           std::uint16_t* out,
                                                           std::int64_t out_stride) {
  const std::int64_t query = static_cast<std::int64_t>(n_parts) * kNibbleEntries;
  constexpr int kBytes = Ops::kParts * kNibbleEntries;
  typename Ops::Bytes sums[kQueries * 4];
  unrolled<kQueries * 4>(VL_UNROLLED(i) { sums[i] = Ops::zero_bytes(); });
  for (std::int64_t at = 0; at < query; at += kBytes) {
    const typename Ops::Bytes both = Ops::load_bytes(codes + at);
    const typename Ops::Bytes low = Ops::low_nibbles(both);
    const typename Ops::Bytes high = Ops::high_nibbles(both);
    unrolled<kQueries>(VL_UNROLLED(q) {
      const typename Ops::Bytes table = Ops::load_bytes(tables + q * query + at);
      const typename Ops::Bytes first = Ops::shuffle(table, low);
      const typename Ops::Bytes second = Ops::shuffle(table, high);
      sums[4 * q] = Ops::add16(sums[4 * q], first);
      sums[4 * q + 1] = Ops::add16(sums[4 * q + 1], Ops::odd_bytes(first));
      sums[4 * q + 2] = Ops::add16(sums[4 * q + 2], second);
      sums[4 * q + 3] = Ops::add16(sums[4 * q + 3], Ops::odd_bytes(second));
    });
  }
  unrolled<kQueries>(VL_UNROLLED(q) {
    Ops::store_sums(out + q * out_stride, sums[4 * q], sums[4 * q + 1]);
    Ops::store_sums(out + q * out_stride + 16, sums[4 * q + 2], sums[4 * q + 3]);
  });
}

template <class Ops>
void nibbles_u8(const std::uint8_t* tables, int n_queries, int n_parts, const std::uint8_t* blocks,
                std::int64_t n_blocks, std::uint16_t* out, std::int64_t out_stride) {
  constexpr int kQueries = Ops::kByteQueries;
  const std::int64_t query = static_cast<std::int64_t>(n_parts) * kNibbleEntries;
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    const std::uint8_t* codes = blocks + block * query;
    int q = 0;
    for (; q + kQueries <= n_queries; q += kQueries) {
      nibble_block_u8<Ops, kQueries>(tables + q * query, n_parts, codes,
                                     out + q * out_stride + block * kNibbleRows, out_stride);
    }
    for (; q < n_queries; ++q) {
      nibble_block_u8<Ops, 1>(tables + q * query, n_parts, codes,
                              out + q * out_stride + block * kNibbleRows, out_stride);
    }
  }
}

template <class Ops>
constexpr LookupKernels lookup_table(SimdLevel level) noexcept {
  return {level, bytes_many<Ops>, bytes_one_plain, nibbles<Ops>, nibbles_u8<Ops>};
}

}  // namespace
}  // namespace vl
