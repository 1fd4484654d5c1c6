// SPDX-License-Identifier: Apache-2.0
// Scores of product codes by tables. 4-bit codes are looked up in registers; others add entries of
// 16 queries at a time, so that one load serves sixteen queries.
#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/threads.h"
#include "compress/codebook_bits.h"
#include "compress/codebook_scan.h"
#include "compress/pq.h"
#include "simd/lookup.h"

namespace vl {
namespace {

constexpr std::int64_t kTaskRows = 2048;       // sums of 16 queries: 128 KiB of the L2 cache
constexpr std::int64_t kTableBytes = 1 << 18;  // interleaved tables of a sweep: as much again
constexpr int kFewQueries = 2;                 // up to here one query at a time is faster
constexpr int kNibbleQueries = 8;

// Query q of a group in lane q: out[entry * 16 + q], zeros for lanes beyond n_queries.
AlignedBuffer<float> interleave(const float* tables, std::int64_t n_queries, std::int64_t entries) {
  AlignedBuffer<float> out(static_cast<std::size_t>(entries) * kLookupQueries);
  for (std::int64_t e = 0; e < entries; ++e) {
    for (std::int64_t q = 0; q < kLookupQueries; ++q) {
      out[static_cast<std::size_t>(e * kLookupQueries + q)] =
          q < n_queries ? tables[q * entries + e] : 0.0F;
    }
  }
  return out;
}

// Rows of byte codes: the codes themselves, or unpacked.
struct ByteCodes {
  ByteCodes(const std::uint8_t* codes, std::int64_t n, const PqShape& shape)
      : stride(shape.n_parts) {
    if (shape.bits == 8) {
      data = codes;
      return;
    }
    unpacked.resize(static_cast<std::size_t>(n * stride));
    for (std::int64_t i = 0; i < n; ++i) {
      get_codes(codes + i * shape.code_bytes(), shape.n_parts, shape.bits,
                unpacked.data() + i * stride);
    }
    // A code beyond the codebook can only come from damaged data: it must not read past a table.
    const auto last = static_cast<std::uint8_t>(shape.n_codewords - 1);
    for (std::uint8_t& code : unpacked) code = std::min(code, last);
    data = unpacked.data();
  }
  std::int64_t stride;
  const std::uint8_t* data = nullptr;
  std::vector<std::uint8_t> unpacked;
};

class ByteScores {
 public:
  ByteScores(const float* tables, std::int64_t n_queries, const PqShape& shape)
      : shape_(shape),
        entries_(static_cast<std::int64_t>(shape.n_parts) * shape.n_codewords),
        tables_(tables),
        n_queries_(n_queries) {
    if (n_queries <= kFewQueries) return;
    for (std::int64_t q = 0; q < n_queries; q += kLookupQueries) {
      const std::int64_t some = std::min<std::int64_t>(kLookupQueries, n_queries - q);
      groups_.push_back(interleave(tables + q * entries_, some, entries_));
    }
  }

  // Scores of rows [first, first + rows) into out, whose rows are n apart.
  void rows(const std::uint8_t* codes, std::int64_t first, std::int64_t rows, std::int64_t n,
            float* out) const {
    const LookupKernels& kernels = lookup_kernels();
    const ByteCodes bytes(codes + first * shape_.code_bytes(), rows, shape_);
    for (std::int64_t q = 0; q < n_queries_ && groups_.empty(); ++q) {
      kernels.bytes_one(tables_ + q * entries_, shape_.n_parts, shape_.n_codewords, bytes.data,
                        bytes.stride, rows, out + q * n + first);
    }
    if (groups_.empty()) return;
    AlignedBuffer<float> sums(static_cast<std::size_t>(rows) * kLookupQueries);
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      sweep(groups_[g].data(), bytes, rows, sums.data());
      const auto q = static_cast<std::int64_t>(g) * kLookupQueries;
      const std::int64_t some = std::min<std::int64_t>(kLookupQueries, n_queries_ - q);
      for (std::int64_t i = 0; i < some; ++i) {
        float* to = out + (q + i) * n + first;
        for (std::int64_t r = 0; r < rows; ++r) {
          to[r] = sums[static_cast<std::size_t>(r * kLookupQueries + i)];
        }
      }
    }
  }

 private:
  void sweep(const float* table, const ByteCodes& bytes, std::int64_t rows, float* sums) const {
    std::fill_n(sums, rows * kLookupQueries, 0.0F);
    const std::int64_t part_floats = static_cast<std::int64_t>(shape_.n_codewords) * kLookupQueries;
    const auto step = static_cast<int>(std::max<std::int64_t>(1, kTableBytes / (part_floats * 4)));
    for (int part = 0; part < shape_.n_parts; part += step) {
      lookup_kernels().bytes_many(table + part * part_floats, std::min(step, shape_.n_parts - part),
                                  shape_.n_codewords, bytes.data + part, bytes.stride, rows, sums);
    }
  }

  PqShape shape_;
  std::int64_t entries_;
  const float* tables_;
  std::int64_t n_queries_;
  std::vector<AlignedBuffer<float>> groups_;
};

// Tables of 4-bit codes with padded parts and all sixteen entries.
AlignedBuffer<float> whole_tables(const float* tables, std::int64_t n_queries,
                                  const PqShape& shape) {
  const int parts = padded_parts(shape.n_parts);
  AlignedBuffer<float> out(static_cast<std::size_t>(n_queries) * static_cast<std::size_t>(parts) *
                           kNibbleEntries);
  std::fill_n(out.data(), out.size(), 0.0F);
  for (std::int64_t q = 0; q < n_queries; ++q) {
    for (int part = 0; part < shape.n_parts; ++part) {
      std::copy_n(tables + (q * shape.n_parts + part) * shape.n_codewords, shape.n_codewords,
                  out.data() + (q * parts + part) * kNibbleEntries);
    }
  }
  return out;
}

void nibble_rows(const float* tables, std::int64_t n_queries, const PqShape& shape,
                 const std::uint8_t* codes, std::int64_t first, std::int64_t rows, std::int64_t n,
                 float* out) {
  const int parts = padded_parts(shape.n_parts);
  AlignedBuffer<std::uint8_t> blocks(static_cast<std::size_t>(nibble_bytes(rows, shape.n_parts)));
  pack_nibbles(codes + first * shape.code_bytes(), rows, shape.n_parts, blocks.data());
  const std::int64_t n_blocks = nibble_blocks(rows);
  const std::int64_t width = n_blocks * kNibbleRows;
  AlignedBuffer<float> sums(static_cast<std::size_t>(width) * kNibbleQueries);
  for (std::int64_t q = 0; q < n_queries; q += kNibbleQueries) {
    const auto some = static_cast<int>(std::min<std::int64_t>(kNibbleQueries, n_queries - q));
    lookup_kernels().nibbles(tables + q * parts * kNibbleEntries, some, parts, blocks.data(),
                             n_blocks, sums.data(), width);
    for (int i = 0; i < some; ++i) {
      std::copy_n(sums.data() + i * width, rows, out + (q + i) * n + first);
    }
  }
}

}  // namespace

void pq_scores(const float* tables, std::int64_t n_queries, const std::uint8_t* codes,
               std::int64_t n, const PqShape& shape, int n_jobs, float* out) {
  const std::int64_t n_tasks = (n + kTaskRows - 1) / kTaskRows;
  const auto each = [&](const auto& body) {
    parallel_for(n_tasks, resolve_jobs(n_jobs), [&](std::int64_t task, int) {
      const std::int64_t first = task * kTaskRows;
      body(first, std::min(kTaskRows, n - first));
    });
  };
  if (shape.bits == 4) {
    const AlignedBuffer<float> whole = whole_tables(tables, n_queries, shape);
    each([&](std::int64_t first, std::int64_t rows) {
      nibble_rows(whole.data(), n_queries, shape, codes, first, rows, n, out);
    });
    return;
  }
  const ByteScores scores(tables, n_queries, shape);
  each([&](std::int64_t first, std::int64_t rows) { scores.rows(codes, first, rows, n, out); });
}

}  // namespace vl
