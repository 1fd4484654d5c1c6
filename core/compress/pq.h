// SPDX-License-Identifier: Apache-2.0
// Product quantization: a codebook for each part of the dimensions, one code a part and row.
// Jegou, Douze, Schmid, TPAMI 2011, doi:10.1109/TPAMI.2010.57.
#pragma once

#include <cstdint>

#include "linalg/turn.h"

namespace vl {

// codebooks: (n_parts, n_codewords, width), row-major; a row of codes is n_parts numbers of `bits`
// bits, low bits first.
struct PqShape {
  std::int64_t dim = 0;
  int n_parts = 0;
  int bits = 8;  // 1..8
  int n_codewords = 256;

  int width() const { return static_cast<int>(dim / n_parts); }
  std::int64_t code_bytes() const { return (static_cast<std::int64_t>(n_parts) * bits + 7) / 8; }
};

struct PqTraining {
  int max_iter = 25;
  std::int64_t max_rows = 0;  // rows used: a random sample of so many; 0 is all
  std::uint64_t seed = 0;
};

// Lloyd's iterations part by part. Same bits for the same seed at any n_jobs.
void pq_train(const float* x, std::int64_t n, const PqShape& shape, const PqTraining& training,
              int n_jobs, float* codebooks);

// The nearest codeword of each part, the lowest number among equals. With a turn, the codes of the
// turned rows.
void pq_encode(const float* x, std::int64_t n, const PqShape& shape, const float* codebooks,
               const Turn* turn, int n_jobs, std::uint8_t* codes);

void pq_decode(const std::uint8_t* codes, std::int64_t n, const PqShape& shape,
               const float* codebooks, int n_jobs, float* out);

// out[i * n + j] = sum over parts of tables[i, part, code of row j], added in the order of parts.
// tables: (n_queries, n_parts, n_codewords).
void pq_scores(const float* tables, std::int64_t n_queries, const std::uint8_t* codes,
               std::int64_t n, const PqShape& shape, int n_jobs, float* out);

}  // namespace vl
