// SPDX-License-Identifier: Apache-2.0
// Nearest codewords written once, over an Ops type that a level file provides. Included only by
// level files, inside their anonymous namespace rules: nothing here has external linkage.
//
// Points lie in the lanes and codewords are broadcast, so no reduction across lanes is needed.
// Ops gives kLanes, kWords (codewords at a time), Step (float or a pair of bfloat16), Vec (kLanes
// float32), Int (kLanes int32), Mask, Group (8 float32), and the helpers used below.
//
// The running minimum costs one instruction a codeword: only the block of kWords it came from is
// noted. Which codeword of that block it was is found at the end by computing the block again with
// codewords in the lanes: the same products in the same order, so the minimum is found bit for bit.
#pragma once

#include <cstdint>
#include <utility>

#include "simd/codeword.h"

namespace vl {
namespace {

template <class Body, int... I>
inline __attribute__((always_inline)) void unrolled(std::integer_sequence<int, I...>,
                                                    const Body& body) {
  (body(std::integral_constant<int, I>{}), ...);
}

// Constant indices, so that GCC keeps the accumulators in registers.
template <int N, class Body>
inline __attribute__((always_inline)) void unrolled(const Body& body) {
  unrolled(std::make_integer_sequence<int, N>{}, body);
}

#define VL_UNROLLED(index) [&](auto index) __attribute__((always_inline))

// Small codebooks name the codeword as they go: three instructions a codeword, but no second look.
inline constexpr int kDirectUpTo = 32;

// Two vectors of points (columns `column`... of the tile) against the whole codebook.
template <class Ops, bool kDirect>
inline __attribute__((always_inline)) void sweep(const typename Ops::Step* tile, int column,
                                                 const CodewordBook& book, std::int32_t* at,
                                                 float* minimum) {
  using Step = typename Ops::Step;
  constexpr int kWords = Ops::kWords;
  const Step* words = static_cast<const Step*>(book.words);
  typename Ops::Vec best[2] = {Ops::infinity(), Ops::infinity()};
  typename Ops::Int where[2] = {Ops::integer(0), Ops::integer(0)};
  for (int k = 0; k < book.n_codewords; k += kWords) {
    const Step* block = words +
                        static_cast<std::int64_t>(k / kBookGroup) * book.steps * kBookGroup +
                        k % kBookGroup;
    typename Ops::Vec acc[2 * kWords];
    unrolled<kWords>(VL_UNROLLED(j) {
      acc[2 * j] = Ops::set1(book.half_norms[k + j]);
      acc[2 * j + 1] = acc[2 * j];
    });
    for (int s = 0; s < book.steps; ++s) {
      const typename Ops::Points low = Ops::load(tile + s * kTilePoints + column);
      const typename Ops::Points high = Ops::load(tile + s * kTilePoints + column + Ops::kLanes);
      unrolled<kWords>(VL_UNROLLED(j) {
        const typename Ops::Points word = Ops::broadcast(block + s * kBookGroup + j);
        acc[2 * j] = Ops::step(acc[2 * j], low, word);
        acc[2 * j + 1] = Ops::step(acc[2 * j + 1], high, word);
      });
    }
    unrolled<2>(VL_UNROLLED(v) {
      if constexpr (kDirect) {
        unrolled<kWords>(VL_UNROLLED(j) {
          where[v] = Ops::choose(Ops::less(acc[2 * j + v], best[v]), Ops::integer(k + j), where[v]);
          best[v] = Ops::min(acc[2 * j + v], best[v]);
        });
      } else {
        typename Ops::Vec least = acc[v];
        unrolled<kWords - 1>(VL_UNROLLED(j) { least = Ops::min(acc[2 * (j + 1) + v], least); });
        where[v] = Ops::choose(Ops::less(least, best[v]), Ops::integer(k), where[v]);
        best[v] = Ops::min(least, best[v]);
      }
    });
  }
  unrolled<2>(VL_UNROLLED(v) {
    Ops::store(minimum + column + v * Ops::kLanes, best[v]);
    Ops::store(at + column + v * Ops::kLanes, where[v]);
  });
}

// The codeword of the group of block `at` whose value is `minimum`; `at` itself when nothing is
// (values that overflowed).
template <class Ops>
inline __attribute__((always_inline)) std::int32_t settle(const typename Ops::Step* tile, int point,
                                                          const CodewordBook& book, std::int32_t at,
                                                          float minimum) {
  using Step = typename Ops::Step;
  const std::int32_t first = at / kBookGroup * kBookGroup;
  const Step* block =
      static_cast<const Step*>(book.words) + static_cast<std::int64_t>(first) * book.steps;
  typename Ops::Group acc = Ops::load_group(book.half_norms + first);
  for (int s = 0; s < book.steps; ++s) {
    acc = Ops::step_group(acc, tile + s * kTilePoints + point, block + s * kBookGroup);
  }
  const unsigned equal = Ops::equal_group(acc, minimum);
  return equal != 0 ? first + __builtin_ctz(equal) : at;
}

template <class Ops>
__attribute__((noinline)) void nearest(const void* tiles, std::int64_t n_tiles,
                                       const CodewordBook& book, std::int32_t* codes,
                                       float* scores) {
  const bool direct = book.n_codewords <= kDirectUpTo;
  for (std::int64_t t = 0; t < n_tiles; ++t) {
    const typename Ops::Step* tile =
        static_cast<const typename Ops::Step*>(tiles) + t * book.steps * kTilePoints;
    alignas(64) float minimum[kTilePoints];
    std::int32_t* at = codes + t * kTilePoints;
    for (int column = 0; column < kTilePoints; column += 2 * Ops::kLanes) {
      if (direct) {
        sweep<Ops, true>(tile, column, book, at, minimum);
      } else {
        sweep<Ops, false>(tile, column, book, at, minimum);
      }
    }
    for (int p = 0; p < kTilePoints && !direct; ++p) {
      at[p] = settle<Ops>(tile, p, book, at[p], minimum[p]);
    }
    for (int p = 0; p < kTilePoints && scores != nullptr; ++p) {
      scores[t * kTilePoints + p] = minimum[p];
    }
  }
}

}  // namespace
}  // namespace vl
