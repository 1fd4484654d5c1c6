// SPDX-License-Identifier: Apache-2.0
// Ops of tile.h in plain C++: the truth the other levels are tested against, and what NEON
// compilers turn into vector code by themselves (each loop has 16 fixed iterations).
#pragma once

#include <cstdint>

#include "simd/panel/reach.h"
#include "simd/panel/tile.h"

namespace vl {
namespace {

struct Lanes {
  float v[kPanelRows];
};

struct IntLanes {
  std::int32_t v[kPanelRows];
};

struct Bytes {
  const unsigned char* p;
};

struct PlainFloat {
  using Float = Lanes;
  static Float load(const float* p) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = p[i];
    return r;
  }
  static Float set1(float x) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = x;
    return r;
  }
  static Float mul(const Float& a, const Float& b) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = a.v[i] * b.v[i];
    return r;
  }
  static Float min(const Float& a, const Float& b) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = a.v[i] < b.v[i] ? a.v[i] : b.v[i];
    return r;
  }
  static Float max(const Float& a, const Float& b) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = a.v[i] > b.v[i] ? a.v[i] : b.v[i];
    return r;
  }
  static Float fma(const Float& a, const Float& b, const Float& c) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = a.v[i] * b.v[i] + c.v[i];
    return r;
  }
  static Float add(const Float& a, const Float& b) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = a.v[i] + b.v[i];
    return r;
  }
  static void store(float* p, const Float& x) {
    for (int i = 0; i < kPanelRows; ++i) p[i] = x.v[i];
  }
  static unsigned at_least(const Float& a, const Float& b) {
    unsigned mask = 0;
    for (int i = 0; i < kPanelRows; ++i) mask |= static_cast<unsigned>(a.v[i] >= b.v[i]) << i;
    return mask;
  }
  static Float blend(unsigned lanes, const Float& yes, const Float& no) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = ((lanes >> i) & 1U) != 0 ? yes.v[i] : no.v[i];
    return r;
  }
  static float highest(const Float& a) {
    float r = a.v[0];
    for (int i = 1; i < kPanelRows; ++i) r = r > a.v[i] ? r : a.v[i];
    return r;
  }
};

inline float float_at(const unsigned char* p) {
  float value;
  __builtin_memcpy(&value, p, sizeof(value));
  return value;
}

inline float bf16_at(const unsigned char* p) {
  std::uint16_t half;
  __builtin_memcpy(&half, p, sizeof(half));
  const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

struct PlainFloatOps : PlainFloat {
  using Rows = Bytes;
  using Query = float;
  using Acc = Lanes;
  static Rows load_rows(const unsigned char* p) { return {p}; }
  static Query load_query(const unsigned char* p) { return float_at(p); }
  static Acc start(std::int32_t) { return set1(0.0F); }
  static Acc step(Acc acc, Rows r, Query q) {
    for (int i = 0; i < kPanelRows; ++i) acc.v[i] += float_at(r.p + 4 * i) * q;
    return acc;
  }
  static Float to_float(const Acc& acc) { return acc; }
};

struct PlainBf16Ops : PlainFloat {
  using Rows = Bytes;
  using Query = Bytes;
  using Acc = Lanes;
  static Rows load_rows(const unsigned char* p) { return {p}; }
  static Query load_query(const unsigned char* p) { return {p}; }
  static Acc start(std::int32_t) { return set1(0.0F); }
  static Acc step(Acc acc, Rows r, Query q) {
    const float q0 = bf16_at(q.p);
    const float q1 = bf16_at(q.p + 2);
    for (int i = 0; i < kPanelRows; ++i) {
      acc.v[i] += bf16_at(r.p + 4 * i) * q0;
      acc.v[i] += bf16_at(r.p + 4 * i + 2) * q1;
    }
    return acc;
  }
  static Float to_float(const Acc& acc) { return acc; }
};

struct PlainInt8Ops : PlainFloat {
  using Rows = Bytes;
  using Query = Bytes;
  using Acc = IntLanes;
  static Rows load_rows(const unsigned char* p) { return {p}; }
  static Query load_query(const unsigned char* p) { return {p}; }
  static Acc start(std::int32_t x) {
    Acc r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = x;
    return r;
  }
  static Acc step(Acc acc, Rows r, Query q) {
    const auto* code = reinterpret_cast<const std::int8_t*>(q.p);
    for (int i = 0; i < kPanelRows; ++i) {
      const unsigned char* row = r.p + 4 * i;
      acc.v[i] += row[0] * code[0] + row[1] * code[1] + row[2] * code[2] + row[3] * code[3];
    }
    return acc;
  }
  static Float to_float(const Acc& acc) {
    Float r;
    for (int i = 0; i < kPanelRows; ++i) r.v[i] = static_cast<float>(acc.v[i]);
    return r;
  }
};

}  // namespace
}  // namespace vl
