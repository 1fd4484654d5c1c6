// SPDX-License-Identifier: Apache-2.0
// Float8 kernels, plain C++: the oracle that the other levels are tested against.
//
// Formula: README.md. Accumulator: thirty-two float32 lanes; each product is rounded before it is
// added. Tail: zeros fill the last sixteen. Alignment: none. Error: none but in sums.
#include <cstdint>

#include "base/float16.h"
#include "simd/float8/scan.h"

namespace vl {
namespace {

template <Float8Format T>
std::uint8_t encode_one(float value) {
  using L = Layout<T>;
  const std::uint32_t bits = float32_bits(value);
  const auto sign = static_cast<std::uint8_t>((bits >> 24) & 0x80u);
  std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<std::uint8_t>(sign | 0x7Fu);
  if (magnitude > float32_bits(L::kMax)) magnitude = float32_bits(L::kMax);
  std::uint32_t code;
  if (magnitude >= float32_bits(L::kMinNormal)) {
    const std::uint32_t odd = (magnitude >> L::kDrop) & 1u;
    code = ((magnitude + (1u << (L::kDrop - 1)) - 1u + odd) >> L::kDrop) - L::kRebias;
  } else {
    code = float32_bits(float32_from_bits(magnitude) + L::kMagic) - float32_bits(L::kMagic);
  }
  return static_cast<std::uint8_t>(sign | code);
}

struct Scalar {
  struct F {
    float v[kLanes];
  };
  using U = std::uint32_t;

  static F zero() { return F{}; }
  static F set1(float x) {
    F f;
    for (float& lane : f.v) lane = x;
    return f;
  }
  static U zero_u() { return 0; }
  static U largest(U u) { return u; }

  static F load(const float* p) {
    F f;
    __builtin_memcpy(f.v, p, sizeof f.v);
    return f;
  }
  static void store(float* p, const F& f) { __builtin_memcpy(p, f.v, sizeof f.v); }

  template <Float8Format T>
  static F load8(const std::uint8_t* p) {
    F f;
    for (int i = 0; i < kLanes; ++i) {
      const std::uint32_t code = p[i];
      const std::uint32_t half =
          T == Float8Format::kE5M2 ? code << 8 : ((code & 0x80u) << 8) | ((code & 0x7Fu) << 7);
      f.v[i] = float16_to_float32(static_cast<std::uint16_t>(half));
    }
    return f;
  }
  static F with_nan8(const std::uint8_t* p, F f) {
    for (int i = 0; i < kLanes; ++i) {
      if ((p[i] & 0x7Fu) == 0x7Fu) f.v[i] = __builtin_nanf("");
    }
    return f;
  }
  template <Float8Format T>
  static void store8(std::uint8_t* p, const F& f) {
    for (int i = 0; i < kLanes; ++i) p[i] = encode_one<T>(f.v[i]);
  }
  template <bool Brain>
  static void narrow(const float* x, std::uint16_t* out, U& largest) {
    for (int i = 0; i < kLanes; ++i) {
      const std::uint32_t magnitude = float32_bits(x[i]) & 0x7FFFFFFFu;
      largest = magnitude > largest ? magnitude : largest;
      out[i] = Brain ? float32_to_bfloat16(x[i]) : float32_to_float16(x[i]);
    }
  }
  template <bool Brain>
  static F widen(const std::uint16_t* p) {
    F f;
    for (int i = 0; i < kLanes; ++i) {
      f.v[i] = Brain ? bfloat16_to_float32(p[i]) : float16_to_float32(p[i]);
    }
    return f;
  }

  static F mul(F a, const F& b) {
    for (int i = 0; i < kLanes; ++i) a.v[i] *= b.v[i];
    return a;
  }
  static F add(F a, const F& b) {
    for (int i = 0; i < kLanes; ++i) a.v[i] += b.v[i];
    return a;
  }
  static F fma(const F& a, const F& b, F c) {
    for (int i = 0; i < kLanes; ++i) c.v[i] += a.v[i] * b.v[i];
    return c;
  }
  static F fnma(const F& a, const F& b, F c) {
    for (int i = 0; i < kLanes; ++i) c.v[i] -= a.v[i] * b.v[i];
    return c;
  }
  static float sum(F a) {
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
    }
    return a.v[0];
  }
};

}  // namespace

constexpr Float8Kernels kFloat8Scalar = float8_table<Scalar>(SimdLevel::kScalar);

}  // namespace vl
