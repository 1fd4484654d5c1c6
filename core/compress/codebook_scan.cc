// SPDX-License-Identifier: Apache-2.0
#include "compress/codebook_scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/threads.h"
#include "simd/lookup.h"

namespace vl {
namespace {

constexpr std::int64_t kScanBlocks = 64;  // blocks of 32 rows a task: codes that fit the L2 cache
constexpr int kScanQueries = 8;           // queries a sweep: tables that fit the L1 cache

// One block; rows beyond `n_rows` count as zeros.
void pack_block(const std::uint8_t* rows, int n_rows, int n_parts, std::uint8_t* block) {
  const std::int64_t row_bytes = (n_parts + 1) / 2;
  std::memset(block, 0, static_cast<std::size_t>(padded_parts(n_parts)) * kNibbleEntries);
  const int half = kNibbleRows / 2;
  for (int i = 0; i < std::min(n_rows, half); ++i) {
    const std::uint8_t* low = rows + i * row_bytes;
    const bool has_high = i + half < n_rows;
    const std::uint8_t* high = has_high ? low + half * row_bytes : low;
    const unsigned keep = has_high ? 0xFFu : 0u;
    for (std::int64_t b = 0; b < row_bytes; ++b) {
      const unsigned first = low[b];
      const unsigned second = high[b] & keep;
      block[2 * b * kNibbleEntries + i] =
          static_cast<std::uint8_t>((first & 15u) | ((second & 15u) << 4));
      if (2 * b + 1 < n_parts) {
        block[(2 * b + 1) * kNibbleEntries + i] =
            static_cast<std::uint8_t>((first >> 4) | (second & 0xF0u));
      }
    }
  }
}

}  // namespace

int padded_parts(int n_parts) { return (n_parts + kNibbleQuad - 1) / kNibbleQuad * kNibbleQuad; }

std::int64_t nibble_blocks(std::int64_t n) { return (n + kNibbleRows - 1) / kNibbleRows; }

std::int64_t nibble_bytes(std::int64_t n, int n_parts) {
  return nibble_blocks(n) * padded_parts(n_parts) * kNibbleEntries;
}

void pack_nibbles(const std::uint8_t* rows, std::int64_t n, int n_parts, std::uint8_t* blocks) {
  const std::int64_t row_bytes = (n_parts + 1) / 2;
  for (std::int64_t block = 0; block < nibble_blocks(n); ++block) {
    const std::int64_t first = block * kNibbleRows;
    pack_block(rows + first * row_bytes,
               static_cast<int>(std::min<std::int64_t>(kNibbleRows, n - first)), n_parts,
               blocks + block * padded_parts(n_parts) * kNibbleEntries);
  }
}

void unpack_nibbles(const std::uint8_t* blocks, std::int64_t n, int n_parts, std::uint8_t* rows) {
  const std::int64_t row_bytes = (n_parts + 1) / 2;
  std::memset(rows, 0, static_cast<std::size_t>(n * row_bytes));
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint8_t* block = blocks + i / kNibbleRows * padded_parts(n_parts) * kNibbleEntries;
    const int lane = static_cast<int>(i % (kNibbleRows / 2));
    const int shift = i % kNibbleRows < kNibbleRows / 2 ? 0 : 4;
    for (int part = 0; part < n_parts; ++part) {
      const unsigned code = (block[part * kNibbleEntries + lane] >> shift) & 15u;
      std::uint8_t* at = rows + i * row_bytes + part / 2;
      *at = static_cast<std::uint8_t>(*at | (code << (part % 2 * 4)));
    }
  }
}

ByteTables round_tables(const float* tables, int n_queries, int n_parts) {
  ByteTables out;
  out.n_parts = padded_parts(n_parts);
  const auto query = static_cast<std::size_t>(out.n_parts) * kNibbleEntries;
  out.entries.assign(static_cast<std::size_t>(n_queries) * query, 0);
  out.step.resize(static_cast<std::size_t>(n_queries));
  out.bias.resize(out.step.size());
  const auto levels = static_cast<float>(std::min(255, 65535 / out.n_parts));
  for (int q = 0; q < n_queries; ++q) {
    const float* table = tables + static_cast<std::ptrdiff_t>(q) * n_parts * kNibbleEntries;
    float range = 0.0F;
    double bias = 0.0;
    for (int part = 0; part < n_parts; ++part) {
      const auto [low, high] =
          std::minmax_element(table + part * kNibbleEntries, table + (part + 1) * kNibbleEntries);
      range = std::max(range, *high - *low);
      bias += static_cast<double>(*low);
    }
    const float step = range > 0.0F ? range / levels : 1.0F;
    std::uint8_t* to = out.entries.data() + static_cast<std::size_t>(q) * query;
    for (int part = 0; part < n_parts; ++part) {
      const float* values = table + part * kNibbleEntries;
      const float low = *std::min_element(values, values + kNibbleEntries);
      for (int i = 0; i < kNibbleEntries; ++i) {
        const float level = std::min(std::nearbyint((values[i] - low) / step), levels);
        to[part * kNibbleEntries + i] = static_cast<std::uint8_t>(level);
      }
    }
    out.step[static_cast<std::size_t>(q)] = step;
    out.bias[static_cast<std::size_t>(q)] = static_cast<float>(bias);
  }
  return out;
}

void scan_nibbles(const ByteTables& tables, const std::uint8_t* blocks, std::int64_t n, int n_jobs,
                  float* out) {
  const SumNibblesU8 scan = lookup_kernels().nibbles_u8;
  const auto n_queries = static_cast<int>(tables.step.size());
  const std::int64_t block_bytes = static_cast<std::int64_t>(tables.n_parts) * kNibbleEntries;
  const std::int64_t n_blocks = nibble_blocks(n);
  const std::int64_t n_tasks = (n_blocks + kScanBlocks - 1) / kScanBlocks;
  parallel_for(n_tasks, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
    const std::int64_t first = task * kScanBlocks;
    const std::int64_t count = std::min(kScanBlocks, n_blocks - first);
    const std::int64_t width = count * kNibbleRows;
    std::vector<std::uint16_t> sums(static_cast<std::size_t>(kScanQueries * width));
    const std::int64_t rows = std::min(width, n - first * kNibbleRows);
    for (int q = 0; q < n_queries; q += kScanQueries) {
      const int some = std::min(kScanQueries, n_queries - q);
      scan(tables.entries.data() + q * block_bytes, some, tables.n_parts,
           blocks + first * block_bytes, count, sums.data(), width);
      for (int i = 0; i < some; ++i) {
        const auto query = static_cast<std::size_t>(q) + static_cast<std::size_t>(i);
        const float step = tables.step[query];
        const float bias = tables.bias[query];
        const std::uint16_t* from = sums.data() + i * width;
        float* to = out + (q + i) * n + first * kNibbleRows;
        for (std::int64_t r = 0; r < rows; ++r) to[r] = bias + step * static_cast<float>(from[r]);
      }
    }
  });
}

}  // namespace vl
