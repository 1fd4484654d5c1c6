// SPDX-License-Identifier: Apache-2.0
// Scans of 4-bit codes with tables in registers. André, Kermarrec, Le Scouarnec, "Cache locality is
// not enough", VLDB 2015, doi:10.14778/2856318.2856324, and "Accelerated nearest neighbor search
// with Quick ADC", ICMR 2017, doi:10.1145/3078971.3078992.
//
// Codes lie in blocks of 32 rows (the layout of SumNibbles in simd/lookup.h); parts are padded to a
// multiple of four with code 0, rows of the last block with zeros.
#pragma once

#include <cstdint>
#include <vector>

#include "base/aligned.h"

namespace vl {

// Parts padded as the scans want them.
int padded_parts(int n_parts);

std::int64_t nibble_blocks(std::int64_t n);  // of 32 rows
std::int64_t nibble_bytes(std::int64_t n, int n_parts);

// Between rows of (n_parts + 1) / 2 bytes, low four bits first, and blocks of padded parts.
void pack_nibbles(const std::uint8_t* rows, std::int64_t n, int n_parts, std::uint8_t* blocks);
void unpack_nibbles(const std::uint8_t* blocks, std::int64_t n, int n_parts, std::uint8_t* rows);

// Tables rounded to bytes: t ~ bias_part + step * entry, one step a query, the biases summed up.
// Levels are 255, or fewer where n_parts * 255 would overflow 16 bits. A score is off by at most
// n_parts * step / 2 (rounding) plus float32 rounding of tables and result.
struct ByteTables {
  int n_parts = 0;                    // padded
  std::vector<std::uint8_t> entries;  // (n_queries, n_parts, 16)
  std::vector<float> step;
  std::vector<float> bias;
};

// tables: (n_queries, n_parts, 16).
ByteTables round_tables(const float* tables, int n_queries, int n_parts);

// out[q * n + row] = bias + step * (sum of entries).
void scan_nibbles(const ByteTables& tables, const std::uint8_t* blocks, std::int64_t n, int n_jobs,
                  float* out);

}  // namespace vl
