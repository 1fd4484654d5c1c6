// SPDX-License-Identifier: Apache-2.0
// The loops that every level of the float8 kernels shares. A level supplies its registers:
//
//   struct V {
//     F                                sixteen float32
//     load(p), store(p, F)             sixteen float32 of memory
//     load8<T>(p)                      sixteen codes as kShrink<T> * value (see below)
//     store8<T>(p, F)                  sixteen float32 rounded to codes
//     with_nan8(p, F)                  F with NaN where the e4m3 code at p is NaN
//     narrow<B>(p, out, largest)       sixteen float32 to float16 or (B) bfloat16
//     widen<B>(p)                      the way back
//     zero, set1, mul, add, fma(a, b, c) = ab + c, fnma(a, b, c) = c - ab, sum(F)
//     U, zero_u, largest(U)            running maximum of bit patterns
//   };
//
// Tails go through buffers filled up with zeros: no read or write past the end of a row. Internal
// linkage and no STL for the reason given in simd/pair/scan.h, whose visit over rows is used here.
#pragma once

#include <cstdint>

#include "simd/float8/levels.h"
#include "simd/pair/scan.h"

namespace vl {
namespace {

// What differs between the formats: bits of fraction and exponent bias of the code.
template <Float8Format T>
struct Layout {
  static constexpr bool kIsE4M3 = T == Float8Format::kE4M3;
  static constexpr int kFraction = kIsE4M3 ? 3 : 2;
  static constexpr int kBias = kIsE4M3 ? 7 : 15;
  static constexpr int kDrop = 23 - kFraction;  // float32 bits rounded away
  static constexpr std::uint32_t kRebias = static_cast<std::uint32_t>(127 - kBias) << kFraction;
  static constexpr float kMax = kIsE4M3 ? 448.0f : 57344.0f;
  static constexpr float kMinNormal = kIsE4M3 ? 0x1p-6f : 0x1p-14f;
  // Its last bit is worth the smallest subnormal (2^-9, 2^-16): adding it rounds subnormals.
  static constexpr float kMagic = kIsE4M3 ? 0x1p14f : 0x1p7f;
};

// An e4m3 code moved into a float16's fields is worth value * 2^(7 - 15), subnormals included.
template <Float8Format T>
constexpr float kShrink = T == Float8Format::kE4M3 ? 0x1p-8f : 1.0f;
template <Float8Format T>
constexpr float kGrow = 1.0f / kShrink<T>;

template <class V, Float8Format T>
VL_INLINE typename V::F value8(const std::uint8_t* p) {
  const typename V::F raw = V::template load8<T>(p);
  if constexpr (T == Float8Format::kE5M2) return raw;
  return V::mul(raw, V::set1(kGrow<T>));
}

template <class V, Float8Format T>
VL_INLINE void encode16(const float* x, const float* factor, std::uint8_t* out) {
  const typename V::F v = V::load(x);
  V::template store8<T>(out, factor == nullptr ? v : V::mul(v, V::load(factor)));
}

template <class V, Float8Format T>
VL_INLINE void encode_row(const float* x, const float* factor, std::int64_t dim,
                          std::uint8_t* out) {
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    encode16<V, T>(x + i, factor == nullptr ? nullptr : factor + i, out + i);
  }
  if (i == dim) return;
  const std::int64_t left = dim - i;
  const Padded<kLanes, float> from(x + i, left);
  std::uint8_t codes[kLanes];
  if (factor == nullptr) {
    encode16<V, T>(from.values, nullptr, codes);
  } else {
    const Padded<kLanes, float> by(factor + i, left);
    encode16<V, T>(from.values, by.values, codes);
  }
  __builtin_memcpy(out + i, codes, static_cast<std::size_t>(left));
}

template <class V, Float8Format T>
void encode_rows(const float* x, const float* factor, std::int64_t n, std::int64_t dim,
                 std::uint8_t* out) {
  if (factor == nullptr) {  // one long row: fewer tails
    encode_row<V, T>(x, nullptr, n * dim, out);
    return;
  }
  for (std::int64_t j = 0; j < n; ++j) {
    encode_row<V, T>(x + j * dim, factor, dim, out + j * dim);
  }
}

template <class V, Float8Format T>
VL_INLINE void decode16(const std::uint8_t* codes, const float* scale, float* out) {
  typename V::F v = value8<V, T>(codes);
  if constexpr (T == Float8Format::kE4M3) v = V::with_nan8(codes, v);
  V::store(out, scale == nullptr ? v : V::mul(v, V::load(scale)));
}

template <class V, Float8Format T>
VL_INLINE void decode_row(const std::uint8_t* codes, const float* scale, std::int64_t dim,
                          float* out) {
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    decode16<V, T>(codes + i, scale == nullptr ? nullptr : scale + i, out + i);
  }
  if (i == dim) return;
  const std::int64_t left = dim - i;
  const Padded<kLanes, std::uint8_t> from(codes + i, left);
  float values[kLanes];
  if (scale == nullptr) {
    decode16<V, T>(from.values, nullptr, values);
  } else {
    const Padded<kLanes, float> by(scale + i, left);
    decode16<V, T>(from.values, by.values, values);
  }
  __builtin_memcpy(out + i, values, static_cast<std::size_t>(left) * sizeof(float));
}

template <class V, Float8Format T>
void decode_rows(const std::uint8_t* codes, const float* scale, std::int64_t n, std::int64_t dim,
                 float* out) {
  if (scale == nullptr) {
    decode_row<V, T>(codes, nullptr, n * dim, out);
    return;
  }
  for (std::int64_t j = 0; j < n; ++j) {
    decode_row<V, T>(codes + j * dim, scale, dim, out + j * dim);
  }
}

// Two sets of lanes, as in the pair kernels: the latency of one chain of adds shows on short rows.
template <class V, Float8Format T>
struct IpKernel {
  const float* query;
  std::int64_t dim;

  VL_INLINE float operator()(const std::uint8_t* row) const {
    typename V::F even = V::zero();
    typename V::F odd = V::zero();
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= dim; i += 2 * kLanes) {
      even = V::fma(V::load(query + i), V::template load8<T>(row + i), even);
      odd = V::fma(V::load(query + i + kLanes), V::template load8<T>(row + i + kLanes), odd);
    }
    if (i + kLanes <= dim) {
      even = V::fma(V::load(query + i), V::template load8<T>(row + i), even);
      i += kLanes;
    }
    if (i < dim) {
      const Padded<kLanes, float> q(query + i, dim - i);
      const Padded<kLanes, std::uint8_t> x(row + i, dim - i);
      odd = V::fma(V::load(q.values), V::template load8<T>(x.values), odd);
    }
    return V::sum(V::add(even, odd)) * kGrow<T>;
  }
};

template <class V, Float8Format T>
struct L2Kernel {
  const float* query;
  const float* scale;
  std::int64_t dim;

  static VL_INLINE typename V::F step(typename V::F acc, const float* q, const float* s,
                                      const std::uint8_t* x) {
    const typename V::F d = V::fnma(V::load(s), value8<V, T>(x), V::load(q));
    return V::fma(d, d, acc);
  }
  VL_INLINE float operator()(const std::uint8_t* row) const {
    typename V::F even = V::zero();
    typename V::F odd = V::zero();
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= dim; i += 2 * kLanes) {
      even = step(even, query + i, scale + i, row + i);
      odd = step(odd, query + i + kLanes, scale + i + kLanes, row + i + kLanes);
    }
    if (i + kLanes <= dim) {
      even = step(even, query + i, scale + i, row + i);
      i += kLanes;
    }
    if (i < dim) {
      const Padded<kLanes, float> q(query + i, dim - i);
      const Padded<kLanes, float> s(scale + i, dim - i);
      const Padded<kLanes, std::uint8_t> x(row + i, dim - i);
      odd = step(odd, q.values, s.values, x.values);
    }
    return V::sum(V::add(even, odd));
  }
};

template <class V, Float8Format T>
void scan_ip8(const float* query, const std::uint8_t* base, const std::int64_t* rows,
              std::int64_t n, std::int64_t dim, float* out) {
  visit_rows(base, rows, n, dim, out, IpKernel<V, T>{query, dim});
}

template <class V, Float8Format T>
void scan_l28(const float* query, const float* scale, const std::uint8_t* base,
              const std::int64_t* rows, std::int64_t n, std::int64_t dim, float* out) {
  visit_rows(base, rows, n, dim, out, L2Kernel<V, T>{query, scale, dim});
}

template <class V, bool Brain>
std::uint32_t narrow_all(const float* x, std::int64_t n, std::uint16_t* out) {
  typename V::U largest = V::zero_u();
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) V::template narrow<Brain>(x + i, out + i, largest);
  if (i < n) {
    const Padded<kLanes, float> from(x + i, n - i);
    std::uint16_t to[kLanes];
    V::template narrow<Brain>(from.values, to, largest);
    __builtin_memcpy(out + i, to, static_cast<std::size_t>(n - i) * sizeof(std::uint16_t));
  }
  return V::largest(largest);
}

template <class V, bool Brain>
void widen_all(const std::uint16_t* x, std::int64_t n, float* out) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) V::store(out + i, V::template widen<Brain>(x + i));
  if (i < n) {
    const Padded<kLanes, std::uint16_t> from(x + i, n - i);
    float to[kLanes];
    V::store(to, V::template widen<Brain>(from.values));
    __builtin_memcpy(out + i, to, static_cast<std::size_t>(n - i) * sizeof(float));
  }
}

template <class V>
constexpr Float8Kernels float8_table(SimdLevel level) {
  constexpr Float8Format a = Float8Format::kE4M3;
  constexpr Float8Format b = Float8Format::kE5M2;
  return {level,
          {encode_rows<V, a>, encode_rows<V, b>},
          {decode_rows<V, a>, decode_rows<V, b>},
          {scan_ip8<V, a>, scan_ip8<V, b>},
          {scan_l28<V, a>, scan_l28<V, b>},
          {narrow_all<V, false>, narrow_all<V, true>},
          {widen_all<V, false>, widen_all<V, true>}};
}

}  // namespace
}  // namespace vl
