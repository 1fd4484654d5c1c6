// SPDX-License-Identifier: Apache-2.0
// Scalar float16 (IEEE binary16) and bfloat16 to and from float32. Narrowing rounds to nearest,
// ties to even, overflow to infinity; subnormals, infinities and NaN are kept (a NaN stays quiet).
//
// The functions are `static` on purpose: files compiled for a CPU level include this header, and an
// inline function with external linkage could be merged with a copy that uses that level's
// instructions, which an older CPU would then run.
#pragma once

#include <cstdint>

namespace vl {

static inline std::uint32_t float32_bits(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float float32_from_bits(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float bfloat16_to_float32(std::uint16_t half) {
  return float32_from_bits(static_cast<std::uint32_t>(half) << 16);
}

static inline std::uint16_t float32_to_bfloat16(float value) {
  const std::uint32_t bits = float32_bits(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {  // rounding could carry a NaN into infinity
    return static_cast<std::uint16_t>((bits >> 16) | 0x0040u);
  }
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

static inline float float16_to_float32(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1Fu;
  const std::uint32_t fraction = half & 0x3FFu;
  if (exponent == 0x1Fu) {
    const std::uint32_t quiet = fraction != 0 ? 0x00400000u : 0u;
    return float32_from_bits(sign | 0x7F800000u | quiet | (fraction << 13));
  }
  if (exponent != 0) return float32_from_bits(sign | ((exponent + 112u) << 23) | (fraction << 13));
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;  // exact, also for zero
  return float32_from_bits(sign | float32_bits(magnitude));
}

static inline std::uint16_t float32_to_float16(float value) {
  const std::uint32_t bits = float32_bits(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {  // NaN: top bits of the payload, made quiet
    return static_cast<std::uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  }
  if (magnitude >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);  // >= 65520
  if (magnitude >= 0x38800000u) {  // a normal half: round away 13 bits, rebias 127 to 15
    const std::uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
  }
  // Subnormal: adding 0.5 lines the half's last bit up with the float's last bit, rounding on the
  // way.
  const float shifted = float32_from_bits(magnitude) + 0.5f;
  return static_cast<std::uint16_t>(sign | (float32_bits(shifted) - 0x3F000000u));
}

}  // namespace vl
