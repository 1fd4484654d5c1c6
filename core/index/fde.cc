// SPDX-License-Identifier: Apache-2.0
// Cost an item of m vectors: m width additions a repetition; to fill, m comparisons an empty cell.
#include "index/fde.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/threads.h"

namespace vl {
namespace {

// Cells of the vectors [first, last) in one repetition.
void find_cells(const FdeShape& s, const float* planes, std::int64_t repetition, std::int64_t first,
                std::int64_t last, std::vector<std::uint32_t>& cells) {
  cells.clear();
  for (std::int64_t j = first; j < last; ++j) {
    const float* mine = planes + (j * s.repetitions + repetition) * s.n_bits;
    std::uint32_t cell = 0;
    for (int b = 0; b < s.n_bits; ++b) cell = cell << 1 | (mine[b] > 0.0F ? 1U : 0U);
    cells.push_back(cell);
  }
}

std::size_t nearest_to(std::uint32_t cell, const std::vector<std::uint32_t>& cells) {
  std::size_t best = 0;
  int fewest = 33;
  for (std::size_t j = 0; j < cells.size() && fewest > 1; ++j) {
    const int different = std::popcount(cells[j] ^ cell);
    if (different < fewest) {
      fewest = different;
      best = j;
    }
  }
  return best;
}

void pool(const FdeShape& s, const std::vector<std::uint32_t>& cells, const float* projected,
          std::int64_t stride, std::vector<std::int32_t>& counts, float* out) {
  const std::size_t n_cells = std::size_t{1} << s.n_bits;
  counts.assign(n_cells, 0);
  for (std::size_t j = 0; j < cells.size(); ++j) {
    const float* from = projected + static_cast<std::int64_t>(j) * stride;
    float* to = out + static_cast<std::int64_t>(cells[j]) * s.width;
    for (std::int64_t d = 0; d < s.width; ++d) to[d] += from[d];
    ++counts[cells[j]];
  }
  if (!s.is_document) return;
  for (std::size_t c = 0; c < n_cells; ++c) {
    float* to = out + static_cast<std::int64_t>(c) * s.width;
    if (counts[c] > 1) {
      const float share = 1.0F / static_cast<float>(counts[c]);
      for (std::int64_t d = 0; d < s.width; ++d) to[d] *= share;
    } else if (counts[c] == 0 && s.fill_empty) {
      const std::size_t j = nearest_to(static_cast<std::uint32_t>(c), cells);
      std::copy_n(projected + static_cast<std::int64_t>(j) * stride, s.width, to);
    }
  }
}

}  // namespace

void fde_pool(const FdeShape& s, const float* planes, const float* projected,
              const std::int64_t* offsets, std::int64_t n, int n_jobs, float* out) {
  const std::int64_t block = s.width << s.n_bits;
  const std::int64_t stride = s.width * s.repetitions;
  parallel_for(n, n_jobs, [&](std::int64_t item, int) {
    poll_interrupt();
    std::vector<std::uint32_t> cells;
    std::vector<std::int32_t> counts;
    float* mine = out + item * s.repetitions * block;
    std::fill_n(mine, s.repetitions * block, 0.0F);
    for (std::int64_t r = 0; r < s.repetitions; ++r) {
      find_cells(s, planes, r, offsets[item], offsets[item + 1], cells);
      const float* from = projected + offsets[item] * stride + r * s.width;
      pool(s, cells, from, stride, counts, mine + r * block);
    }
  });
}

}  // namespace vl
