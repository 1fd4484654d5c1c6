// SPDX-License-Identifier: Apache-2.0
//   c[i][j] = sum over blocks of 128 dimensions of (sum within the block, fused, in order)
// float32 throughout; error <= (dim + 2) 2^-24 sum |a_ik b_jk|.
//
// Cost: n m dim multiply-adds at the rate of the float32 panel kernel. Two panels of a block of
// dimensions are 16 KiB and stay in the first-level cache while kRowsOfA rows of A pass over them;
// the rows' block, 96 KiB, stays in the second. A is copied once for each kRowsOfB rows of B, B
// once for each worker.
#include "linalg/matmul.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/aligned.h"
#include "base/threads.h"
#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kBlockDims = 128;
constexpr std::int64_t kRowsOfA = 192;  // a multiple of kQueryPad
constexpr std::int64_t kRowsOfB = 1024;
constexpr std::int64_t kPairRows = kPanelsPerCall * kPanelRows;

struct Shape {
  std::int64_t n, m, dim;
  std::int64_t blocks() const { return (dim + kBlockDims - 1) / kBlockDims; }
  // Groups of one float32 in a block of dimensions: a multiple of kGroupStep, zeros at the end.
  std::int64_t groups(std::int64_t block) const {
    const std::int64_t left = std::min(kBlockDims, dim - block * kBlockDims);
    return (left + kGroupStep - 1) / kGroupStep * kGroupStep;
  }
};

// Scratch of one worker, and which rows of B it holds.
struct Workspace {
  AlignedBuffer<float> panels, rows, sums;
  std::int64_t packed_b = -1;
};

std::int64_t padded_dim(const Shape& s) { return s.blocks() * kBlockDims; }

// panels[block][pair][panel][group][16], pairs of the rows [first, last) of B.
void pack_b(const float* b, const Shape& s, std::int64_t first, std::int64_t last, float* panels) {
  const std::int64_t pairs = (last - first + kPairRows - 1) / kPairRows;
  for (std::int64_t block = 0; block < s.blocks(); ++block) {
    const std::int64_t groups = s.groups(block);
    const std::int64_t dims = std::min(kBlockDims, s.dim - block * kBlockDims);
    float* out = panels + block * kBlockDims * pairs * kPairRows;
    for (std::int64_t panel = 0; panel < pairs * kPanelsPerCall; ++panel) {
      float* to = out + panel * groups * kPanelRows;
      for (std::int64_t r = 0; r < kPanelRows; ++r) {
        const std::int64_t row = first + panel * kPanelRows + r;
        const bool real = row < last;
        const float* from = b + (real ? row * s.dim : 0) + block * kBlockDims;
        for (std::int64_t g = 0; g < groups; ++g) {
          to[g * kPanelRows + r] = real && g < dims ? from[g] : 0.0f;
        }
      }
    }
  }
}

// rows[i][group] of one block of dimensions, zeros where there is no row or dimension.
void pack_a(const float* a, const Shape& s, std::int64_t first, std::int64_t last,
            std::int64_t block, float* rows) {
  const std::int64_t groups = s.groups(block);
  const std::int64_t dims = std::min(kBlockDims, s.dim - block * kBlockDims);
  const std::int64_t padded = (last - first + kQueryPad - 1) / kQueryPad * kQueryPad;
  for (std::int64_t i = 0; i < padded; ++i) {
    float* to = rows + i * groups;
    const std::int64_t here = first + i < last ? dims : 0;
    if (here > 0) {
      std::memcpy(to, a + (first + i) * s.dim + block * kBlockDims,
                  static_cast<std::size_t>(here) * sizeof(float));
    }
    std::fill(to + here, to + groups, 0.0f);
  }
}

// c[i][j] (+)= sums[i][j - first_b] for one pair of panels.
void add_pair(const float* sums, std::int64_t rows, std::int64_t columns, bool is_first, float* c,
              std::int64_t stride) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const float* from = sums + i * kPairRows;
    float* to = c + i * stride;
    if (is_first) {
      std::memcpy(to, from, static_cast<std::size_t>(columns) * sizeof(float));
    } else {
      for (std::int64_t j = 0; j < columns; ++j) to[j] += from[j];
    }
  }
}

struct Task {
  std::int64_t a_first, a_last, b_first, b_last;
};

void multiply(const float* a, const float* b, const Shape& s, const Task& t, float* c,
              Workspace& w) {
  const std::int64_t pairs = (t.b_last - t.b_first + kPairRows - 1) / kPairRows;
  if (w.packed_b != t.b_first) {
    pack_b(b, s, t.b_first, t.b_last, w.panels.data());
    w.packed_b = t.b_first;
  }
  const std::int64_t n = t.a_last - t.a_first;
  for (std::int64_t block = 0; block < s.blocks(); ++block) {
    const std::int64_t groups = s.groups(block);
    pack_a(a, s, t.a_first, t.a_last, block, w.rows.data());
    const float* panels = w.panels.data() + block * kBlockDims * pairs * kPairRows;
    for (std::int64_t pair = 0; pair < pairs; ++pair) {
      panel_kernels().product_f32(w.rows.data(), groups * kGroupBytes, static_cast<int>(n),
                                  panels + pair * kPairRows * groups, 1, static_cast<int>(groups),
                                  w.sums.data(), kPairRows);
      const std::int64_t column = t.b_first + pair * kPairRows;
      add_pair(w.sums.data(), n, std::min(kPairRows, t.b_last - column), block == 0,
               c + t.a_first * s.m + column, s.m);
    }
  }
}

}  // namespace

void matmul(const float* a, std::int64_t n, const float* b, std::int64_t m, std::int64_t dim,
            float* c, int n_threads) {
  const Shape s{n, m, dim};
  if (n == 0 || m == 0) return;
  const std::int64_t a_blocks = (n + kRowsOfA - 1) / kRowsOfA;
  const std::int64_t b_blocks = (m + kRowsOfB - 1) / kRowsOfB;
  std::vector<Workspace> work(static_cast<std::size_t>(n_threads));
  // Blocks of B in the outer loop: a worker packs one and runs many blocks of A over it.
  parallel_for(a_blocks * b_blocks, n_threads, [&](std::int64_t task, int worker) {
    Workspace& w = work[static_cast<std::size_t>(worker)];
    if (w.panels.size() == 0) {
      const std::int64_t b_rows = (std::min(m, kRowsOfB) + kPairRows - 1) / kPairRows * kPairRows;
      w.panels = AlignedBuffer<float>(static_cast<std::size_t>(b_rows * padded_dim(s)));
      w.rows = AlignedBuffer<float>(static_cast<std::size_t>(kRowsOfA * kBlockDims));
      w.sums = AlignedBuffer<float>(static_cast<std::size_t>(kRowsOfA * kPairRows));
    }
    const std::int64_t i = task % a_blocks * kRowsOfA;
    const std::int64_t j = task / a_blocks * kRowsOfB;
    multiply(a, b, s, {i, std::min(n, i + kRowsOfA), j, std::min(m, j + kRowsOfB)}, c, w);
  });
}

}  // namespace vl
