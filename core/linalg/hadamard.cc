// SPDX-License-Identifier: Apache-2.0
#include "linalg/hadamard.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/threads.h"

namespace vl {
namespace {

constexpr std::int64_t kRowsPerTask = 1024;

// Unnormalised Walsh-Hadamard transform of p entries, in place; radix 4 halves the passes.
void transform(float* x, std::int64_t p) {
  std::int64_t h = 1;
  if (std::countr_zero(static_cast<std::uint64_t>(p)) % 2 == 1) {
    for (std::int64_t i = 0; i < p; i += 2) {
      const float a = x[i], b = x[i + 1];
      x[i] = a + b;
      x[i + 1] = a - b;
    }
    h = 2;
  }
  for (; h < p; h *= 4) {
    for (std::int64_t i = 0; i < p; i += 4 * h) {
      for (std::int64_t j = i; j < i + h; ++j) {
        const float a = x[j] + x[j + h], b = x[j] - x[j + h];
        const float c = x[j + 2 * h] + x[j + 3 * h], d = x[j + 2 * h] - x[j + 3 * h];
        x[j] = a + c;
        x[j + h] = b + d;
        x[j + 2 * h] = a - c;
        x[j + 3 * h] = b - d;
      }
    }
  }
}

struct Block {
  std::int64_t start, size;
  float scale;
};

Block block_of(std::int64_t dim, int round) {
  const auto size = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(dim)));
  return {round % 2 == 0 ? 0 : dim - size, size, 1.0f / std::sqrt(static_cast<float>(size))};
}

void flip(float* x, const std::int8_t* signs, std::int64_t dim) {
  for (std::int64_t i = 0; i < dim; ++i) x[i] = signs[i] < 0 ? -x[i] : x[i];
}

void spread(float* x, const Block& block) {
  transform(x + block.start, block.size);
  for (std::int64_t i = 0; i < block.size; ++i) x[block.start + i] *= block.scale;
}

template <class Step>
void each_row(const float* x, std::int64_t n, std::int64_t dim, float* out, int n_threads,
              const Step& step) {
  const std::int64_t tasks = (n + kRowsPerTask - 1) / kRowsPerTask;
  parallel_for(tasks, n_threads, [&](std::int64_t task, int) {
    const std::int64_t last = std::min(n, (task + 1) * kRowsPerTask);
    for (std::int64_t r = task * kRowsPerTask; r < last; ++r) {
      float* row = out + r * dim;
      if (x != out) std::memcpy(row, x + r * dim, static_cast<std::size_t>(dim) * sizeof(float));
      step(row);
    }
  });
}

}  // namespace

void hadamard(const float* x, std::int64_t n, std::int64_t dim, const std::int8_t* signs,
              int rounds, float* out, int n_threads) {
  each_row(x, n, dim, out, n_threads, [&](float* row) {
    for (int round = 0; round < rounds; ++round) {
      flip(row, signs + round * dim, dim);
      spread(row, block_of(dim, round));
    }
  });
}

void hadamard_inverse(const float* x, std::int64_t n, std::int64_t dim, const std::int8_t* signs,
                      int rounds, float* out, int n_threads) {
  each_row(x, n, dim, out, n_threads, [&](float* row) {
    for (int round = rounds - 1; round >= 0; --round) {
      spread(row, block_of(dim, round));
      flip(row, signs + round * dim, dim);
    }
  });
}

}  // namespace vl
