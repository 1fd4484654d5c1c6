// SPDX-License-Identifier: Apache-2.0
// Codes of 1 to 8 bits in the bytes of a row: number i takes the bits from i * bits on, low bits
// first.
#pragma once

#include <cstdint>

namespace vl {

// Writes number `place` of each row; the bits it takes must be zero before.
inline void put_codes(const std::int32_t* values, int n_rows, int place, int bits,
                      std::uint8_t* rows, std::int64_t row_bytes) {
  const std::int64_t bit = static_cast<std::int64_t>(place) * bits;
  const std::int64_t byte = bit / 8;
  const int shift = static_cast<int>(bit % 8);
  const bool spills = shift + bits > 8;
  for (int i = 0; i < n_rows; ++i) {
    const unsigned value = static_cast<unsigned>(values[i]) << shift;
    std::uint8_t* at = rows + i * row_bytes + byte;
    at[0] = static_cast<std::uint8_t>(at[0] | (value & 0xFFu));
    if (spills) at[1] = static_cast<std::uint8_t>(at[1] | (value >> 8));
  }
}

// The first `count` numbers of one row.
inline void get_codes(const std::uint8_t* row, int count, int bits, std::uint8_t* values) {
  const unsigned mask = (1u << bits) - 1u;
  for (int i = 0; i < count; ++i) {
    const std::int64_t bit = static_cast<std::int64_t>(i) * bits;
    const int shift = static_cast<int>(bit % 8);
    unsigned value = row[bit / 8];
    if (shift + bits > 8) value |= static_cast<unsigned>(row[bit / 8 + 1]) << 8;
    values[i] = static_cast<std::uint8_t>((value >> shift) & mask);
  }
}

}  // namespace vl
