// SPDX-License-Identifier: Apache-2.0
// Pair kernels, NEON (armv8-a).
//
// Formula: ip = sum q_i x_i, l2 = sum (q_i - x_i)^2, hamming = sum popcount(q_i xor x_i).
// Accumulator: eight q registers of float32 a row, fused multiply-add; eight of float64 a row for
// the exact kernels; int32 lanes for int8, int32 lanes for Hamming. Tail: by a zero-filled buffer.
// Alignment: none. Error bound: README.md; the exact kernels equal scalar.cc bit for bit
// (tests/core/neon_parity.cc).
#include <arm_neon.h>

#include <cstdint>

#include "simd/pair/scan.h"

namespace vl {
namespace {

struct Neon {
  struct F {
    float32x4_t v[4];  // lanes 0..3, 4..7, 8..11, 12..15
  };
  struct D {
    float64x2_t v[8];  // lanes 0..1, 2..3, ...
  };

  static VL_INLINE F zero_f() {
    const float32x4_t z = vdupq_n_f32(0.0f);
    return {{z, z, z, z}};
  }
  static VL_INLINE D zero_d() {
    const float64x2_t z = vdupq_n_f64(0.0);
    return {{z, z, z, z, z, z, z, z}};
  }

  static VL_INLINE float32x4_t half(uint16x4_t x) { return vcvt_f32_f16(vreinterpret_f16_u16(x)); }
  static VL_INLINE float32x4_t brain(uint16x4_t x) {
    return vreinterpretq_f32_u32(vshll_n_u16(x, 16));
  }
  static VL_INLINE float32x4_t from_int(int16x4_t x) { return vcvtq_f32_s32(vmovl_s16(x)); }
  static VL_INLINE float32x4_t from_uint(uint16x4_t x) { return vcvtq_f32_u32(vmovl_u16(x)); }

  template <Kind K>
  static VL_INLINE F load(const Element<K>* p) {
    if constexpr (K == Kind::kFloat32) {
      return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
    } else if constexpr (K == Kind::kFloat16) {
      return {{half(vld1_u16(p)), half(vld1_u16(p + 4)), half(vld1_u16(p + 8)),
               half(vld1_u16(p + 12))}};
    } else if constexpr (K == Kind::kBFloat16) {
      return {{brain(vld1_u16(p)), brain(vld1_u16(p + 4)), brain(vld1_u16(p + 8)),
               brain(vld1_u16(p + 12))}};
    } else if constexpr (K == Kind::kInt8) {
      const int16x8_t x = vmovl_s8(vld1_s8(p));
      const int16x8_t y = vmovl_s8(vld1_s8(p + 8));
      return {{from_int(vget_low_s16(x)), from_int(vget_high_s16(x)), from_int(vget_low_s16(y)),
               from_int(vget_high_s16(y))}};
    } else {
      const uint16x8_t x = vmovl_u8(vld1_u8(p));
      const uint16x8_t y = vmovl_u8(vld1_u8(p + 8));
      return {{from_uint(vget_low_u16(x)), from_uint(vget_high_u16(x)), from_uint(vget_low_u16(y)),
               from_uint(vget_high_u16(y))}};
    }
  }
  template <Kind K>
  static VL_INLINE F load_tail(const Element<K>* p, std::int64_t r) {
    const Padded<kLanes, Element<K>> padded(p, r);
    return load<K>(padded.values);
  }

  template <Op O>
  static VL_INLINE F step(F acc, const F& q, const F& x) {
    for (int i = 0; i < 4; ++i) {
      if constexpr (O == Op::kIp) {
        acc.v[i] = vfmaq_f32(acc.v[i], q.v[i], x.v[i]);
      } else {
        const float32x4_t d = vsubq_f32(q.v[i], x.v[i]);
        acc.v[i] = vfmaq_f32(acc.v[i], d, d);
      }
    }
    return acc;
  }
  template <Op O>
  static VL_INLINE D step(D acc, const D& q, const D& x) {
    for (int i = 0; i < 8; ++i) {
      if constexpr (O == Op::kIp) {
        // The product of two float32 is exact in float64, so fusing it with the add changes no bit.
        acc.v[i] = vfmaq_f64(acc.v[i], q.v[i], x.v[i]);
      } else {
        const float64x2_t d = vsubq_f64(q.v[i], x.v[i]);
        acc.v[i] = vaddq_f64(acc.v[i], vmulq_f64(d, d));
      }
    }
    return acc;
  }
  static VL_INLINE D widen(const F& f) {
    D d;
    for (int i = 0; i < 4; ++i) {
      d.v[2 * i] = vcvt_f64_f32(vget_low_f32(f.v[i]));
      d.v[2 * i + 1] = vcvt_high_f64_f32(f.v[i]);
    }
    return d;
  }
  template <Kind K>
  static VL_INLINE D load_wide(const Element<K>* p) {
    return widen(load<K>(p));
  }

  static VL_INLINE F add(F a, const F& b) {
    for (int i = 0; i < 4; ++i) a.v[i] = vaddq_f32(a.v[i], b.v[i]);
    return a;
  }
  static VL_INLINE float sum(const F& a) {
    return vaddvq_f32(vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3])));
  }
  static VL_INLINE double sum(const D& a) {
    float64x2_t s[4];
    for (int i = 0; i < 4; ++i) s[i] = vaddq_f64(a.v[i], a.v[i + 4]);
    const float64x2_t low = vaddq_f64(s[0], s[2]);
    const float64x2_t high = vaddq_f64(s[1], s[3]);
    const float64x2_t pair = vaddq_f64(low, high);
    return vgetq_lane_f64(pair, 0) + vgetq_lane_f64(pair, 1);
  }
};

struct Int8 {
  using Reg = int8x16_t;
  using Acc = int32x4_t;
  static constexpr std::int64_t kStep = 16;
  static VL_INLINE Acc zero() { return vdupq_n_s32(0); }
  static VL_INLINE Reg load(const std::int8_t* p) { return vld1q_s8(p); }
  static VL_INLINE Reg load_tail(const std::int8_t* p, std::int64_t r) {
    const Padded<kStep, std::int8_t> padded(p, r);
    return load(padded.values);
  }
  static VL_INLINE std::int32_t sum(Acc acc) { return vaddvq_s32(acc); }
  static VL_INLINE std::uint32_t bias(const std::int8_t* /*query*/, std::int64_t /*width*/) {
    return 0;
  }
};
struct IpI8 : Int8 {
  // A product of two int8 fits int16 (at most 2^14), and pairs of them are added as int32.
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    acc = vpadalq_s16(acc, vmull_s8(vget_low_s8(q), vget_low_s8(x)));
    return vpadalq_s16(acc, vmull_high_s8(q, x));
  }
};
struct L2I8 : Int8 {
  static VL_INLINE Acc square(Acc acc, int16x8_t d) {
    acc = vmlal_s16(acc, vget_low_s16(d), vget_low_s16(d));
    return vmlal_high_s16(acc, d, d);
  }
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    acc = square(acc, vsubl_s8(vget_low_s8(q), vget_low_s8(x)));
    return square(acc, vsubl_high_s8(q, x));
  }
};

struct Hamming {
  using Acc = uint32x4_t;
  static constexpr std::int64_t kStep = 16;
  static constexpr std::int64_t kWorthwhile = 16;
  static constexpr bool kCountsWords = false;
  static VL_INLINE Acc zero() { return vdupq_n_u32(0); }
  static VL_INLINE uint8x16_t load(const std::uint8_t* p) { return vld1q_u8(p); }
  static VL_INLINE Acc step(Acc acc, uint8x16_t q, uint8x16_t x) {
    return vpadalq_u16(acc, vpaddlq_u8(vcntq_u8(veorq_u8(q, x))));
  }
  static VL_INLINE std::int32_t sum(Acc acc) { return static_cast<std::int32_t>(vaddvq_u32(acc)); }
};

}  // namespace

constexpr PairKernels kPairNeon = pair_table<Neon, IpI8, L2I8, Hamming>(SimdLevel::kNeon);

}  // namespace vl
