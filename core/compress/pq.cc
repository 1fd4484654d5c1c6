// SPDX-License-Identifier: Apache-2.0
#include "compress/pq.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "base/threads.h"
#include "compress/codebook.h"
#include "compress/codebook_bits.h"
#include "compress/codebook_train.h"
#include "simd/codeword.h"

namespace vl {
namespace {

constexpr int kBlockRows = kTurnRows;       // rows encoded together: they stay in the L2 cache
constexpr std::uint32_t kSampleStream = 1;  // of random numbers

// `take` distinct rows of n in random order: the first steps of a Fisher-Yates shuffle.
std::vector<std::int64_t> sample_rows(std::int64_t n, std::int64_t take, std::uint64_t seed) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  Random random(seed, kSampleStream);
  for (std::int64_t i = 0; i < take; ++i) {
    const auto j = i + static_cast<std::int64_t>(random.below64(static_cast<std::uint64_t>(n - i)));
    std::swap(rows[static_cast<std::size_t>(i)], rows[static_cast<std::size_t>(j)]);
  }
  rows.resize(static_cast<std::size_t>(take));
  return rows;
}

std::ptrdiff_t book_size(const PqShape& shape) {
  return static_cast<std::ptrdiff_t>(shape.n_codewords) * shape.width();
}

}  // namespace

void pq_train(const float* x, std::int64_t n, const PqShape& shape, const PqTraining& training,
              int n_jobs, float* codebooks) {
  const std::int64_t take = training.max_rows > 0 ? std::min(n, training.max_rows) : n;
  const std::vector<std::int64_t> rows = sample_rows(n, take, training.seed);
  const int width = shape.width();
  parallel_for(shape.n_parts, resolve_jobs(n_jobs), [&](std::int64_t part, int) {
    AlignedBuffer<float> points(rows.size() * static_cast<std::size_t>(width));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(x + rows[i] * shape.dim + part * width, width,
                  points.data() + i * static_cast<std::size_t>(width));
    }
    train_codebook(points.data(), take, width, shape.n_codewords, training.max_iter,
                   codebooks + part * book_size(shape));
  });
}

void pq_encode(const float* x, std::int64_t n, const PqShape& shape, const float* codebooks,
               const Turn* turn, int n_jobs, std::uint8_t* codes) {
  const int width = shape.width();
  std::vector<Codebook> books;
  books.reserve(static_cast<std::size_t>(shape.n_parts));
  for (int part = 0; part < shape.n_parts; ++part) {
    books.emplace_back(shape.n_codewords, width, false);
    books.back().set(codebooks + part * book_size(shape));
  }
  const NearestCodewords nearest = codeword_kernels().nearest_f32;
  const std::int64_t n_blocks = (n + kBlockRows - 1) / kBlockRows;
  const int n_threads = resolve_jobs(n_jobs);
  std::vector<Turn::Scratch> turned;
  if (turn != nullptr) {
    for (int worker = 0; worker < n_threads; ++worker) turned.push_back(turn->scratch());
  }
  parallel_for(n_blocks, n_threads, [&](std::int64_t block, int worker) {
    const std::int64_t first = block * kBlockRows;
    const int rows = static_cast<int>(std::min<std::int64_t>(kBlockRows, n - first));
    const float* from = x + first * shape.dim;
    std::int64_t stride = shape.dim;
    if (turn != nullptr) {
      Turn::Scratch& scratch = turned[static_cast<std::size_t>(worker)];
      turn->apply(from, rows, scratch);
      from = scratch.out.data();
      stride = turn->stride();
    }
    const std::size_t tile_size = static_cast<std::size_t>(width) * kTilePoints;
    AlignedBuffer<float> tiles(tile_size * (kBlockRows / kTilePoints));
    AlignedBuffer<std::int32_t> labels(kBlockRows);
    std::uint8_t* out = codes + first * shape.code_bytes();
    std::memset(out, 0, static_cast<std::size_t>(rows * shape.code_bytes()));
    const int n_tiles = (rows + kTilePoints - 1) / kTilePoints;
    for (int part = 0; part < shape.n_parts; ++part) {
      const Codebook& book = books[static_cast<std::size_t>(part)];
      for (int t = 0; t < n_tiles; ++t) {
        fill_tile(from + t * kTilePoints * stride + part * width, stride,
                  std::min(kTilePoints, rows - t * kTilePoints), book.center(), width,
                  tiles.data() + static_cast<std::size_t>(t) * tile_size);
      }
      nearest(tiles.data(), n_tiles, book.floats(), labels.data(), nullptr);
      put_codes(labels.data(), rows, part, shape.bits, out, shape.code_bytes());
    }
  });
}

void pq_decode(const std::uint8_t* codes, std::int64_t n, const PqShape& shape,
               const float* codebooks, int n_jobs, float* out) {
  const int width = shape.width();
  const std::int64_t n_blocks = (n + kBlockRows - 1) / kBlockRows;
  parallel_for(n_blocks, resolve_jobs(n_jobs), [&](std::int64_t block, int) {
    const std::int64_t first = block * kBlockRows;
    const std::int64_t last = std::min(n, first + kBlockRows);
    std::vector<std::uint8_t> row(static_cast<std::size_t>(shape.n_parts));
    for (std::int64_t i = first; i < last; ++i) {
      get_codes(codes + i * shape.code_bytes(), shape.n_parts, shape.bits, row.data());
      for (int part = 0; part < shape.n_parts; ++part) {
        const int code = std::min<int>(row[static_cast<std::size_t>(part)], shape.n_codewords - 1);
        std::copy_n(codebooks + part * book_size(shape) + static_cast<std::ptrdiff_t>(code) * width,
                    width, out + i * shape.dim + part * width);
      }
    }
  });
}

}  // namespace vl
