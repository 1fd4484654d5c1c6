// SPDX-License-Identifier: Apache-2.0
// Pair kernels, plain C++: the oracle that the other levels are tested against.
//
// Formula: ip = sum q_i x_i, l2 = sum (q_i - x_i)^2, hamming = sum popcount(q_i xor x_i).
// Accumulator: thirty-two float32 lanes for the fast kernels, sixteen float64
// lanes for the exact ones, int32 for the integer ones. Each product is rounded before it is added.
// Tail: zeros fill the last sixteen. Alignment: none. Error bound: README.md.
#include <cstdint>

#include "base/float16.h"
#include "simd/pair/scan.h"

namespace vl {
namespace {

struct Scalar {
  struct F {
    float v[kLanes];
  };
  struct D {
    double v[kLanes];
  };

  static F zero_f() { return F{}; }
  static D zero_d() { return D{}; }

  template <Kind K>
  static float widen_one(Element<K> x) {
    if constexpr (K == Kind::kFloat16) return float16_to_float32(x);
    if constexpr (K == Kind::kBFloat16) return bfloat16_to_float32(x);
    return static_cast<float>(x);
  }
  template <Kind K>
  static F load_tail(const Element<K>* p, std::int64_t r) {
    F f = {};
    for (std::int64_t i = 0; i < r; ++i) f.v[i] = widen_one<K>(p[i]);
    return f;
  }
  template <Kind K>
  static F load(const Element<K>* p) {
    return load_tail<K>(p, kLanes);
  }
  template <Op O, class Lanes>
  static Lanes step(Lanes acc, const Lanes& q, const Lanes& x) {
    for (int i = 0; i < kLanes; ++i) {
      const auto d = q.v[i] - x.v[i];
      acc.v[i] += O == Op::kIp ? q.v[i] * x.v[i] : d * d;
    }
    return acc;
  }
  static D widen(const F& f) {
    D d;
    for (int i = 0; i < kLanes; ++i) d.v[i] = static_cast<double>(f.v[i]);
    return d;
  }
  static F add(F a, const F& b) {
    for (int i = 0; i < kLanes; ++i) a.v[i] += b.v[i];
    return a;
  }
  template <Kind K>
  static D load_wide(const Element<K>* p) {
    return widen(load<K>(p));
  }
  // The fixed tree: lanes 8..15 onto 0..7, 4..7 onto 0..3, 2..3 onto 0..1, 1 onto 0.
  template <class Lanes>
  static auto sum(Lanes a) {
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
    }
    return a.v[0];
  }
};

// One byte a step: no tails, no tricks.
struct Int8 {
  using Reg = std::int32_t;
  using Acc =
      std::uint32_t;  // wraps like the vector levels where the caller leaves the allowed range
  static constexpr std::int64_t kStep = 1;
  static Acc zero() { return 0; }
  static Reg load(const std::int8_t* p) { return *p; }
  static Reg load_tail(const std::int8_t* /*p*/, std::int64_t /*r*/) { return 0; }
  static std::int32_t sum(Acc acc) { return static_cast<std::int32_t>(acc); }
  static std::uint32_t bias(const std::int8_t* /*query*/, std::int64_t /*width*/) { return 0; }
};
struct IpI8 : Int8 {
  static Acc step(Acc acc, Reg q, Reg x) { return acc + static_cast<Acc>(q * x); }
};
struct L2I8 : Int8 {
  static Acc step(Acc acc, Reg q, Reg x) { return acc + static_cast<Acc>((q - x) * (q - x)); }
};
struct Hamming {
  using Acc = std::int32_t;
  static constexpr std::int64_t kStep = 1;
  static constexpr std::int64_t kWorthwhile = 0;
  static constexpr bool kCountsWords = false;
  static Acc zero() { return 0; }
  static unsigned load(const std::uint8_t* p) { return *p; }
  static Acc step(Acc acc, unsigned q, unsigned x) { return acc + __builtin_popcount(q ^ x); }
  static std::int32_t sum(Acc acc) { return acc; }
};

}  // namespace

constexpr PairKernels kPairScalar = pair_table<Scalar, IpI8, L2I8, Hamming>(SimdLevel::kScalar);

}  // namespace vl
