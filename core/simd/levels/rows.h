// SPDX-License-Identifier: Apache-2.0
// What is done to one row at a time: centring, choosing levels, packing, decoding. Written once
// with the compiler's vector types (sixteen float32 lanes at every level: one zmm, two ymm, four
// xmm), so that all levels give the same bits by construction. No STL, internal linkage only.
//
// Rounding: v + 1.5 * 2^23 - 1.5 * 2^23 is round_half_even(v) for 0 <= v <= 255.
// Tail: the last elements are copied into a zeroed block; lanes past the end count as level 0.
#pragma once

#include <cstdint>

#include "simd/levels.h"

#define VL_INLINE __attribute__((always_inline)) inline
#define VL_ALWAYS __attribute__((always_inline))

namespace vl {
namespace {

constexpr int kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef std::int32_t Ints __attribute__((vector_size(64)));
typedef std::uint8_t Bytes16 __attribute__((vector_size(16)));

constexpr float kRounder = 12582912.0f;

VL_INLINE Floats splat(float v) { return v - Floats{}; }
VL_INLINE Floats load(const float* p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
VL_INLINE Floats load(const float* p, std::int64_t r) {
  Floats v = {};
  __builtin_memcpy(&v, p, static_cast<unsigned long>(r) * sizeof(float));
  return v;
}
VL_INLINE void store(float* p, Floats v) { __builtin_memcpy(p, &v, sizeof v); }
VL_INLINE void store(float* p, Floats v, std::int64_t r) {
  __builtin_memcpy(p, &v, static_cast<unsigned long>(r) * sizeof(float));
}
VL_INLINE Ints first_lanes(std::int64_t r) {
  const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lane < (static_cast<std::int32_t>(r) - Ints{});
}
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats4 __attribute__((vector_size(16)));

// Lanes 8..15 onto 0..7, 4..7 onto 0..3, 2..3 onto 0..1, 1 onto 0. In registers of halving size: a
// loop over an array would wait for its own stores.
template <class Join>
VL_INLINE float join_lanes(Floats v, const Join& join) {
  const Floats8 eight = join(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                             __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
  const Floats4 four = join(__builtin_shufflevector(eight, eight, 0, 1, 2, 3),
                            __builtin_shufflevector(eight, eight, 4, 5, 6, 7));
  const Floats4 two = join(four, __builtin_shufflevector(four, four, 2, 3, 0, 1));
  return join(two, __builtin_shufflevector(two, two, 1, 0, 3, 2))[0];
}
VL_INLINE float sum_lanes(Floats v) {
  return join_lanes(v, [](auto a, auto b) VL_ALWAYS { return a + b; });
}

CenteredRow center_row(const float* x, const float* mean, const float* inverse, std::int64_t dim,
                       float* out) {
  Floats low = splat(__builtin_inff());
  Floats high = splat(-__builtin_inff());
  Floats sum = {};
  Floats squares = {};
  const auto step = [&](Floats v, std::int64_t i, std::int64_t r) VL_ALWAYS {
    if (mean != nullptr) v -= r == kLanes ? load(mean + i) : load(mean + i, r);
    if (inverse != nullptr) v *= r == kLanes ? load(inverse + i) : load(inverse + i, r);
    sum += v;
    squares += v * v;
    return v;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    const Floats v = step(load(x + i), i, kLanes);
    low = v < low ? v : low;
    high = v > high ? v : high;
    store(out + i, v);
  }
  if (i < dim) {
    const std::int64_t r = dim - i;
    const Floats v = step(load(x + i, r), i, r);
    const Ints here = first_lanes(r);
    low = (here & (v < low)) != 0 ? v : low;
    high = (here & (v > high)) != 0 ? v : high;
    store(out + i, v, r);
  }
  const auto least = [](auto a, auto b) VL_ALWAYS { return a < b ? a : b; };
  const auto most = [](auto a, auto b) VL_ALWAYS { return a > b ? a : b; };
  return {join_lanes(low, least), join_lanes(high, most), sum_lanes(sum), sum_lanes(squares)};
}

// clamp(round_half_even(t), 0, tops) as float32.
VL_INLINE Floats nearest_level(Floats t, Floats tops) {
  const Floats zeros = {};
  t = t > zeros ? t : zeros;
  t = t < tops ? t : tops;
  t += kRounder;
  return t - kRounder;
}
VL_INLINE void store_bytes(std::uint8_t* p, Floats level, std::int64_t r) {
  const Ints bits = __builtin_convertvector(level, Ints);
  const Bytes16 bytes = __builtin_convertvector(bits, Bytes16);
  if (r == kLanes) {
    __builtin_memcpy(p, &bytes, sizeof bytes);
  } else {
    __builtin_memcpy(p, &bytes, static_cast<unsigned long>(r));
  }
}

LevelSums quantize_row(const float* x, std::int64_t dim, float scale, float shift, float top,
                       std::uint8_t* levels) {
  const Floats tops = splat(top);
  Floats cross = {};
  Floats sum = {};
  Floats squares = {};
  const auto add = [&](Floats level, Floats v) VL_ALWAYS {
    sum += level;
    squares += level * level;
    cross += level * v;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    const Floats v = load(x + i);
    Floats t = v * scale;
    t += shift;
    t = nearest_level(t, tops);
    add(t, v);
    store_bytes(levels + i, t, kLanes);
  }
  if (i < dim) {
    const std::int64_t r = dim - i;
    const Floats v = load(x + i, r);
    Floats t = v * scale;
    t += shift;
    t = first_lanes(r) != 0 ? nearest_level(t, tops) : Floats{};
    add(t, v);
    store_bytes(levels + i, t, r);
  }
  return {sum_lanes(sum), sum_lanes(squares), sum_lanes(cross)};
}

void quantize_dims(const float* x, const float* mean, const float* inverse, std::int64_t dim,
                   float top, std::uint8_t* levels) {
  const Floats tops = splat(top);
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    Floats t = load(x + i) - load(mean + i);
    t *= load(inverse + i);
    store_bytes(levels + i, nearest_level(t, tops), kLanes);
  }
  if (i < dim) {
    const std::int64_t r = dim - i;
    Floats t = load(x + i, r) - load(mean + i, r);
    t *= load(inverse + i, r);
    store_bytes(levels + i, nearest_level(t, tops), r);
  }
}

// Finite float16 in the low half of each lane. Moving exponent and fraction into place leaves a
// float32 that is 2^112 times too small, for subnormal halves too.
VL_INLINE Floats widen_halves(Ints halves) {
  const Ints magnitude = (halves & 0x7fff) << 13;
  Floats value;
  __builtin_memcpy(&value, &magnitude, sizeof value);
  value *= 0x1p112f;
  Ints bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  bits |= (halves & 0x8000) << 16;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

void read_factors(const std::uint8_t* base, std::int64_t stride, const std::int64_t* rows,
                  std::int64_t n, const float* units, float* first, float* second) {
  for (std::int64_t from = 0; from < n; from += kLanes) {
    const std::int64_t r = n - from < kLanes ? n - from : kLanes;
    Ints both = {};
    for (std::int64_t j = 0; j < r; ++j) {
      const std::int64_t row = rows != nullptr ? rows[from + j] : from + j;
      std::int32_t two;
      __builtin_memcpy(&two, base + row * stride, sizeof two);
      both[j] = two;
    }
    store(first + from, widen_halves(both) * units[0], r);
    store(second + from, widen_halves((both >> 16) & 0xffff) * units[1], r);
  }
}

// One stage of the Walsh-Hadamard transform within sixteen lanes: lane i meets lane i xor h.
template <int H>
VL_INLINE Floats stage(Floats v) {
  const Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  // Spelt out, because clang wants the lanes as constants.
  Floats other;
  if constexpr (H == 8) {
    other = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  } else if constexpr (H == 4) {
    other = __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  } else if constexpr (H == 2) {
    other = __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  } else {
    other = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  }
  return (lane & H) != 0 ? other - v : v + other;
}

// Unnormalised transform of n = 2^k elements in place, from the widest stage to the narrowest.
VL_INLINE void transform(float* x, std::int64_t n) {
  std::int64_t h = n / 2;
  for (; h >= 2 * kLanes; h /= 4) {  // two stages a pass: half the loads and stores
    const std::int64_t half = h / 2;
    for (std::int64_t from = 0; from < n; from += 2 * h) {
      for (std::int64_t i = from; i < from + half; i += kLanes) {
        const Floats a = load(x + i);
        const Floats b = load(x + i + half);
        const Floats c = load(x + i + h);
        const Floats d = load(x + i + h + half);
        store(x + i, (a + c) + (b + d));
        store(x + i + half, (a + c) - (b + d));
        store(x + i + h, (a - c) + (b - d));
        store(x + i + h + half, (a - c) - (b - d));
      }
    }
  }
  if (h >= kLanes) {
    for (std::int64_t i = 0; i < n; i += 2 * kLanes) {
      const Floats a = load(x + i);
      const Floats b = load(x + i + kLanes);
      store(x + i, a + b);
      store(x + i + kLanes, a - b);
    }
  }
  if (n >= kLanes) {
    for (std::int64_t i = 0; i < n; i += kLanes) {
      store(x + i, stage<1>(stage<2>(stage<4>(stage<8>(load(x + i))))));
    }
    return;
  }
  for (h = n / 2; h >= 1; h /= 2) {
    for (std::int64_t i = 0; i < n; ++i) {
      if ((i & h) != 0) continue;
      const float a = x[i];
      const float b = x[i + h];
      x[i] = a + b;
      x[i + h] = a - b;
    }
  }
}

// x_i *= factor * sign_i; null signs are all +1. The product with +-1 is exact.
VL_INLINE void scale_block(float* x, const float* signs, std::int64_t n, float factor) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Floats v = load(x + i) * factor;
    if (signs != nullptr) v *= load(signs + i);
    store(x + i, v);
  }
  for (; i < n; ++i) x[i] *= signs != nullptr ? factor * signs[i] : factor;
}

void rotate_row(float* x, std::int64_t dim, const float* signs, int rounds, bool inverse) {
  std::int64_t block = 1;
  while (2 * block <= dim) block *= 2;
  const float factor = 1.0f / __builtin_sqrtf(static_cast<float>(block));
  for (int step = 0; step < rounds; ++step) {
    const int round = inverse ? rounds - 1 - step : step;
    float* part = round % 2 == 0 ? x : x + (dim - block);
    if (!inverse) scale_block(x, signs + round * dim, dim, 1.0f);
    transform(part, block);
    scale_block(part, nullptr, block, factor);
    if (inverse) scale_block(x, signs + round * dim, dim, 1.0f);
  }
}

void decode_row(const std::uint8_t* levels, std::int64_t dim, const float* mean,
                const float* weight, float a, float b, float* out) {
  const auto step = [&](Bytes16 bytes, std::int64_t i, std::int64_t r) VL_ALWAYS {
    Floats v = __builtin_convertvector(bytes, Floats) * a;
    v += b;
    if (weight != nullptr) v *= r == kLanes ? load(weight + i) : load(weight + i, r);
    if (mean != nullptr) v += r == kLanes ? load(mean + i) : load(mean + i, r);
    return v;
  };
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    Bytes16 bytes;
    __builtin_memcpy(&bytes, levels + i, sizeof bytes);
    store(out + i, step(bytes, i, kLanes));
  }
  if (i < dim) {
    Bytes16 bytes = {};
    __builtin_memcpy(&bytes, levels + i, static_cast<unsigned long>(dim - i));
    store(out + i, step(bytes, i, dim - i), dim - i);
  }
}

void pack_bytes(const std::uint8_t* levels, std::int64_t dim, std::uint8_t* plane) {
  __builtin_memcpy(plane, levels, static_cast<unsigned long>(dim));
}
void unpack_bytes(const std::uint8_t* plane, std::int64_t dim, std::uint8_t* levels) {
  __builtin_memcpy(levels, plane, static_cast<unsigned long>(dim));
}

typedef std::uint8_t Bytes64 __attribute__((vector_size(64)));

// Sixty-four bytes a step on whole blocks; the last block, whose parts are shorter, byte by byte.
template <int Bits>
void pack_parts(const std::uint8_t* levels, std::int64_t dim, std::uint8_t* plane) {
  constexpr int parts = 8 / Bits;
  constexpr std::int64_t a_block = parts * kPlaneBlock;
  for (; dim >= a_block; dim -= a_block) {
    Bytes64 packed;
    __builtin_memcpy(&packed, levels, sizeof packed);
    for (int k = 1; k < parts; ++k) {
      Bytes64 part;
      __builtin_memcpy(&part, levels + k * kPlaneBlock, sizeof part);
      for (int doubled = 0; doubled < k * Bits; ++doubled) part += part;
      packed |= part;
    }
    __builtin_memcpy(plane, &packed, sizeof packed);
    levels += a_block;
    plane += kPlaneBlock;
  }
  const std::int64_t bytes = (dim + parts - 1) / parts;
  for (std::int64_t j = 0; j < bytes; ++j) {
    unsigned packed = 0;
    for (int k = 0; k < parts; ++k) {
      const std::int64_t i = k * bytes + j;
      if (i < dim) packed |= static_cast<unsigned>(levels[i]) << (k * Bits);
    }
    plane[j] = static_cast<std::uint8_t>(packed);
  }
}

template <int Bits>
void unpack_parts(const std::uint8_t* plane, std::int64_t dim, std::uint8_t* levels) {
  constexpr int parts = 8 / Bits;
  constexpr std::int64_t a_block = parts * kPlaneBlock;
  constexpr unsigned mask = (1u << Bits) - 1u;
  while (dim > 0) {
    const std::int64_t bytes = dim >= a_block ? kPlaneBlock : (dim + parts - 1) / parts;
    for (int k = 0; k < parts; ++k) {
      const std::int64_t left = dim - k * bytes;
      const std::int64_t count = left < bytes ? left : bytes;
      for (std::int64_t j = 0; j < count; ++j) {
        levels[k * bytes + j] = static_cast<std::uint8_t>((plane[j] >> (k * Bits)) & mask);
      }
    }
    dim -= a_block;
    levels += a_block;
    plane += kPlaneBlock;
  }
}

// Eight bytes of 0 or 1 become the bits of the product's top byte, the first byte the lowest bit.
constexpr std::uint64_t kGather = 0x0102040810204080u;

void pack_bits(const std::uint8_t* levels, std::int64_t dim, std::uint8_t* plane) {
  std::int64_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    std::uint64_t eight;
    __builtin_memcpy(&eight, levels + i, sizeof eight);
    *plane++ = static_cast<std::uint8_t>((eight * kGather) >> 56);
  }
  if (i < dim) {
    std::uint64_t eight = 0;
    __builtin_memcpy(&eight, levels + i, static_cast<unsigned long>(dim - i));
    *plane = static_cast<std::uint8_t>((eight * kGather) >> 56);
  }
}

void unpack_bits(const std::uint8_t* plane, std::int64_t dim, std::uint8_t* levels) {
  // Copies of the byte, bit j kept in copy j, every copy that is not zero turned into 1.
  constexpr std::uint64_t each = 0x0101010101010101u;
  const auto spread = [](std::uint8_t byte) {
    const std::uint64_t kept = (byte * each) & 0x8040201008040201u;
    return ((kept + 0x7f * each) >> 7) & each;
  };
  std::int64_t i = 0;
  for (; i + 8 <= dim; i += 8) {
    const std::uint64_t eight = spread(plane[i / 8]);
    __builtin_memcpy(levels + i, &eight, sizeof eight);
  }
  if (i < dim) {
    const std::uint64_t eight = spread(plane[i / 8]);
    __builtin_memcpy(levels + i, &eight, static_cast<unsigned long>(dim - i));
  }
}

}  // namespace
}  // namespace vl
