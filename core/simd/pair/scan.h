// SPDX-License-Identifier: Apache-2.0
// The loops that every level of the pair kernels shares. A level supplies its registers:
//
//   struct V {
//     F, D, I                             sixteen float32, sixteen float64, an integer accumulator
//     load<K>(p), load_tail<K>(p, r)      sixteen elements of kind K as float32; only r of them,
//     then zeros step<O>(F|D acc, q, x)              acc + q x, or acc + (q - x)^2 load_wide<K>(p)
//     sixteen elements of kind K as float64 widen(F) -> D, add, sum(F), sum(D)  sum(D) is the fixed
//     tree of README.md
//   };
//
// and one struct for each integer kernel (int8 ip, int8 l2, Hamming). Everything here has internal
// linkage: these functions are compiled once a level with that level's instructions, and an
// external inline function would let the linker keep the copy an older CPU cannot run. For the same
// reason no STL.
#pragma once

#include <cstdint>

#include "simd/pair.h"
#include "simd/pair/levels.h"

#define VL_INLINE __attribute__((always_inline)) inline

namespace vl {
namespace {

enum class Op { kIp, kL2 };

template <Kind K>
struct Stored;
template <>
struct Stored<Kind::kFloat32> {
  using Type = float;
};
template <>
struct Stored<Kind::kFloat16> {
  using Type = std::uint16_t;
};
template <>
struct Stored<Kind::kBFloat16> {
  using Type = std::uint16_t;
};
template <>
struct Stored<Kind::kInt8> {
  using Type = std::int8_t;
};
template <>
struct Stored<Kind::kUInt8> {
  using Type = std::uint8_t;
};
template <Kind K>
using Element = typename Stored<K>::Type;

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kLine = 64;
// Rows named by a list come from anywhere, so the hardware prefetchers do not help: ask for the
// lines of the rows this many bytes of work ahead. Measured on Zen 4; see README.md.
constexpr std::int64_t kListAhead = 2048;

// The r < N elements at p, then zeros: a tail that never reads past the end of its row. In moves of
// halving size, since r is the same for all rows of a scan and the branches are foreseen.
template <int N, class T>
struct Padded {
  T values[N] = {};
  VL_INLINE Padded(const T* p, std::int64_t r) {
    static_assert(sizeof(values) <= 64);
    const char* from = reinterpret_cast<const char*>(p);
    char* to = reinterpret_cast<char*>(values);
    const std::int64_t bytes = r * static_cast<std::int64_t>(sizeof(T));
    move<32>(from, to, bytes);
    move<16>(from, to, bytes);
    move<8>(from, to, bytes);
    move<4>(from, to, bytes);
    move<2>(from, to, bytes);
    move<1>(from, to, bytes);
  }

 private:
  template <int Size>
  static VL_INLINE void move(const char*& from, char*& to, std::int64_t bytes) {
    if constexpr (Size < sizeof(T) * N) {
      if ((bytes & Size) == 0) return;
      __builtin_memcpy(to, from, Size);
      from += Size;
      to += Size;
    }
  }
};

template <class T>
VL_INLINE void prefetch_row(const T* row, std::int64_t width) {
  const char* line = reinterpret_cast<const char*>(row);
  const std::int64_t bytes = width * static_cast<std::int64_t>(sizeof(T));
  for (std::int64_t at = 0; at < bytes; at += kLine) __builtin_prefetch(line + at);
}

// out[j] = kernel(row j), one row after the other. Taking several rows at once, which saves loads
// of the query, halves the speed of a long scan: the memory system wants one stream. See README.md.
template <class T, class Out, class Kernel>
VL_INLINE void visit_rows(const T* base, const std::int64_t* rows, std::int64_t n,
                          std::int64_t width, Out* out, const Kernel& kernel) {
  if (rows == nullptr) {
    for (std::int64_t j = 0; j < n; ++j) out[j] = kernel(base + j * width);
    return;
  }
  const std::int64_t row_bytes = width * static_cast<std::int64_t>(sizeof(T));
  const std::int64_t ahead = row_bytes < kListAhead ? kListAhead / row_bytes : 1;
  for (std::int64_t j = 0; j < n && j < ahead; ++j) prefetch_row(base + rows[j] * width, width);
  for (std::int64_t j = 0; j < n; ++j) {
    if (j + ahead < n) prefetch_row(base + rows[j + ahead] * width, width);
    out[j] = kernel(base + rows[j] * width);
  }
}

// float32 accumulators. Two sets of lanes, because the latency of one chain of adds shows on rows
// of few bytes; the processor overlaps the rows by itself.
template <class V, Kind K, Op O>
struct FastKernel {
  const float* query;
  std::int64_t dim;

  VL_INLINE typename V::F step(typename V::F acc, const Element<K>* row, std::int64_t i) const {
    return V::template step<O>(acc, V::template load<Kind::kFloat32>(query + i),
                               V::template load<K>(row + i));
  }
  VL_INLINE float operator()(const Element<K>* row) const {
    typename V::F even = V::zero_f();
    typename V::F odd = V::zero_f();
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= dim; i += 2 * kLanes) {
      even = step(even, row, i);
      odd = step(odd, row, i + kLanes);
    }
    if (i + kLanes <= dim) {
      even = step(even, row, i);
      i += kLanes;
    }
    if (i < dim) {
      odd = V::template step<O>(odd, V::template load_tail<Kind::kFloat32>(query + i, dim - i),
                                V::template load_tail<K>(row + i, dim - i));
    }
    return V::sum(V::add(even, odd));
  }
};

// float64 accumulators: element i to lane i mod 16, whatever the level.
template <class V, Kind K, Op O>
struct ExactKernel {
  const float* query;
  std::int64_t dim;

  VL_INLINE double operator()(const Element<K>* row) const {
    typename V::D acc = V::zero_d();
    std::int64_t i = 0;
    for (; i + kLanes <= dim; i += kLanes) {
      acc = V::template step<O>(acc, V::template load_wide<Kind::kFloat32>(query + i),
                                V::template load_wide<K>(row + i));
    }
    if (i < dim) {
      const std::int64_t left = dim - i;
      acc =
          V::template step<O>(acc, V::widen(V::template load_tail<Kind::kFloat32>(query + i, left)),
                              V::widen(V::template load_tail<K>(row + i, left)));
    }
    return V::sum(acc);
  }
};

// int8 by int8, in integers. B supplies kStep, load, load_tail, zero, step and sum; `bias` is taken
// off each sum (0 but for the VNNI inner product).
template <class B>
struct Int8Kernel {
  const std::int8_t* query;
  std::int64_t width;
  std::uint32_t bias;

  VL_INLINE std::int32_t operator()(const std::int8_t* row) const {
    typename B::Acc acc = B::zero();
    std::int64_t i = 0;
    for (; i + B::kStep <= width; i += B::kStep) {
      acc = B::step(acc, B::load(query + i), B::load(row + i));
    }
    if (i < width) {
      acc = B::step(acc, B::load_tail(query + i, width - i), B::load_tail(row + i, width - i));
    }
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(B::sum(acc)) - bias);
  }
};

// Hamming distance: the level's wide steps where the row is long enough to pay for their final sum,
// then words by the processor's own bit count, then the last bytes as the top of an overlapping
// word.
template <class B>
struct HammingKernel {
  const std::uint8_t* query;
  std::int64_t width;

  static VL_INLINE std::uint64_t word(const std::uint8_t* p) {
    std::uint64_t value;
    __builtin_memcpy(&value, p, sizeof value);
    return value;
  }
  VL_INLINE std::uint64_t differing(const std::uint8_t* row, std::int64_t at) const {
    return word(query + at) ^ word(row + at);
  }
  VL_INLINE std::int32_t operator()(const std::uint8_t* row) const {
    std::int32_t count = 0;
    std::int64_t i = 0;
    if (width >= B::kWorthwhile) {
      typename B::Acc acc = B::zero();
      for (; i + B::kStep <= width; i += B::kStep) {
        acc = B::step(acc, B::load(query + i), B::load(row + i));
      }
      count = B::sum(acc);
    }
    for (; i + 32 <= width; i += 32) {
      count +=
          __builtin_popcountll(differing(row, i)) + __builtin_popcountll(differing(row, i + 8));
      count += __builtin_popcountll(differing(row, i + 16));
      count += __builtin_popcountll(differing(row, i + 24));
    }
    for (; i + 8 <= width; i += 8) count += __builtin_popcountll(differing(row, i));
    if (i == width) return count;
    if (width >= 8) {
      const std::int64_t seen =
          8 - (width - i);  // bytes of the last word that were counted already
      return count + __builtin_popcountll(differing(row, width - 8) >> (8 * seen));
    }
    for (; i < width; ++i) count += __builtin_popcount(static_cast<unsigned>(query[i] ^ row[i]));
    return count;
  }
};

// Rows of a few whole words, such as 384 bits: the query stays in registers and the loop has no
// branch.
template <int Words>
struct ShortHammingKernel {
  std::uint64_t query[Words];

  explicit ShortHammingKernel(const std::uint8_t* from) {
    __builtin_memcpy(query, from, sizeof query);
  }
  VL_INLINE std::int32_t operator()(const std::uint8_t* row) const {
    std::uint64_t words[Words];
    __builtin_memcpy(words, row, sizeof words);
    std::int32_t count = 0;
    for (int w = 0; w < Words; ++w) count += __builtin_popcountll(query[w] ^ words[w]);
    return count;
  }
};

template <int Words>
VL_INLINE bool scan_short_bits(const std::uint8_t* query, const std::uint8_t* base,
                               const std::int64_t* rows, std::int64_t n, std::int64_t width,
                               std::int32_t* out) {
  if (width != 8 * Words) return false;
  visit_rows(base, rows, n, width, out, ShortHammingKernel<Words>(query));
  return true;
}

template <class V, Kind K, Op O>
void scan_fast(const float* query, const void* base, const std::int64_t* rows, std::int64_t n,
               std::int64_t dim, float* out) {
  visit_rows(static_cast<const Element<K>*>(base), rows, n, dim, out,
             FastKernel<V, K, O>{query, dim});
}

template <class V, Kind K, Op O>
void scan_exact(const float* query, const void* base, const std::int64_t* rows, std::int64_t n,
                std::int64_t dim, double* out) {
  visit_rows(static_cast<const Element<K>*>(base), rows, n, dim, out,
             ExactKernel<V, K, O>{query, dim});
}

template <class B>
void scan_bits(const std::uint8_t* query, const void* base, const std::int64_t* rows,
               std::int64_t n, std::int64_t width, std::int32_t* out) {
  const auto* bits = static_cast<const std::uint8_t*>(base);
  if constexpr (B::kCountsWords) {
    if (scan_short_bits<1>(query, bits, rows, n, width, out) ||
        scan_short_bits<2>(query, bits, rows, n, width, out) ||
        scan_short_bits<4>(query, bits, rows, n, width, out) ||
        scan_short_bits<6>(query, bits, rows, n, width, out) ||
        scan_short_bits<8>(query, bits, rows, n, width, out) ||
        scan_short_bits<12>(query, bits, rows, n, width, out)) {
      return;
    }
  }
  visit_rows(bits, rows, n, width, out, HammingKernel<B>{query, width});
}

template <class B>
void scan_int8(const std::int8_t* query, const void* base, const std::int64_t* rows, std::int64_t n,
               std::int64_t width, std::int32_t* out) {
  visit_rows(static_cast<const std::int8_t*>(base), rows, n, width, out,
             Int8Kernel<B>{query, width, B::bias(query, width)});
}

template <class V, class Ip8, class L28, class Ham>
constexpr PairKernels pair_table(SimdLevel level) {
  constexpr Kind f32 = Kind::kFloat32;
  constexpr Kind f16 = Kind::kFloat16;
  constexpr Kind bf16 = Kind::kBFloat16;
  constexpr Kind i8 = Kind::kInt8;
  constexpr Kind u8 = Kind::kUInt8;
  return {level,
          {scan_fast<V, f32, Op::kIp>, scan_fast<V, f16, Op::kIp>, scan_fast<V, bf16, Op::kIp>,
           scan_fast<V, i8, Op::kIp>, scan_fast<V, u8, Op::kIp>},
          {scan_fast<V, f32, Op::kL2>, scan_fast<V, f16, Op::kL2>, scan_fast<V, bf16, Op::kL2>,
           scan_fast<V, i8, Op::kL2>, scan_fast<V, u8, Op::kL2>},
          {scan_exact<V, f32, Op::kIp>, scan_exact<V, f16, Op::kIp>, scan_exact<V, bf16, Op::kIp>,
           scan_exact<V, i8, Op::kIp>, scan_exact<V, u8, Op::kIp>},
          {scan_exact<V, f32, Op::kL2>, scan_exact<V, f16, Op::kL2>, scan_exact<V, bf16, Op::kL2>,
           scan_exact<V, i8, Op::kL2>, scan_exact<V, u8, Op::kL2>},
          scan_int8<Ip8>,
          scan_int8<L28>,
          scan_bits<Ham>};
}

}  // namespace
}  // namespace vl
