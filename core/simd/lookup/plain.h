// SPDX-License-Identifier: Apache-2.0
// Table sums in plain C++: the scalar level, NEON, and one query at a time at every level (there a
// load of a code and a load of its entry are all there is to do, which vectors do not speed up).
// Included only by level files.
#pragma once

#include <cstdint>

#include "simd/lookup.h"

namespace vl {
namespace {

[[maybe_unused]] void bytes_many_plain(const float* tables, int n_parts, int n_codewords,
                                       const std::uint8_t* codes, std::int64_t code_stride,
                                       std::int64_t n, float* out) {
  for (std::int64_t row = 0; row < n; ++row) {
    float* sums = out + row * kLookupQueries;
    for (int part = 0; part < n_parts; ++part) {
      const std::int64_t entry =
          static_cast<std::int64_t>(part) * n_codewords + codes[row * code_stride + part];
      const float* values = tables + entry * kLookupQueries;
      for (int q = 0; q < kLookupQueries; ++q) sums[q] += values[q];
    }
  }
}

// Four rows at a time: four independent chains of additions hide their latency.
[[maybe_unused]] void bytes_one_plain(const float* table, int n_parts, int n_codewords,
                                      const std::uint8_t* codes, std::int64_t code_stride,
                                      std::int64_t n, float* out) {
  std::int64_t row = 0;
  for (; row + 4 <= n; row += 4) {
    const std::uint8_t* at = codes + row * code_stride;
    const float* values = table;
    float a = 0.0F;
    float b = 0.0F;
    float c = 0.0F;
    float d = 0.0F;
    for (int part = 0; part < n_parts; ++part, values += n_codewords) {
      a += values[at[part]];
      b += values[at[part + code_stride]];
      c += values[at[part + 2 * code_stride]];
      d += values[at[part + 3 * code_stride]];
    }
    out[row] = a;
    out[row + 1] = b;
    out[row + 2] = c;
    out[row + 3] = d;
  }
  for (; row < n; ++row) {
    float sum = 0.0F;
    for (int part = 0; part < n_parts; ++part) {
      sum += table[static_cast<std::int64_t>(part) * n_codewords + codes[row * code_stride + part]];
    }
    out[row] = sum;
  }
}

template <class Entry, class Sum>
[[maybe_unused]] void nibbles_plain(const Entry* tables, int n_queries, int n_parts,
                                    const std::uint8_t* blocks, std::int64_t n_blocks, Sum* out,
                                    std::int64_t out_stride) {
  for (std::int64_t block = 0; block < n_blocks; ++block) {
    const std::uint8_t* codes = blocks + block * n_parts * kNibbleEntries;
    for (int q = 0; q < n_queries; ++q) {
      const Entry* table = tables + static_cast<std::int64_t>(q) * n_parts * kNibbleEntries;
      Sum sums[kNibbleRows] = {};
      for (int part = 0; part < n_parts; ++part) {
        const Entry* values = table + part * kNibbleEntries;
        const std::uint8_t* bytes = codes + part * kNibbleEntries;
        for (int i = 0; i < kNibbleEntries; ++i) {
          sums[i] = static_cast<Sum>(sums[i] + values[bytes[i] & 15]);
          sums[16 + i] = static_cast<Sum>(sums[16 + i] + values[bytes[i] >> 4]);
        }
      }
      Sum* to = out + q * out_stride + block * kNibbleRows;
      for (int i = 0; i < kNibbleRows; ++i) to[i] = sums[i];
    }
  }
}

}  // namespace
}  // namespace vl
