// SPDX-License-Identifier: Apache-2.0
// Finite values have an exponent that is not all ones. Adding one to the exponent of those that do
// carries into the sign, so the sign bits of all sums, or-ed, tell; no branch until a block's end.
#include "linalg/finite.h"

#include <algorithm>
#include <cstring>

namespace vl {
namespace {

constexpr std::int64_t kBlock = 4096;  // values between two looks: a bad value ends the pass early
constexpr int kLanes = 16;

template <class Float, class Bits>
bool check(const Float* x, std::int64_t n, Bits magnitude, Bits exponent_step) {
  for (std::int64_t first = 0; first < n; first += kBlock) {
    const std::int64_t last = std::min(n, first + kBlock);
    Bits carried[kLanes] = {};
    const auto one = [&](std::int64_t at, int lane) {
      Bits bits;
      std::memcpy(&bits, x + at, sizeof bits);
      carried[lane] |= (bits & magnitude) + exponent_step;
    };
    std::int64_t i = first;
    for (; i + kLanes <= last; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) one(i + lane, lane);
    }
    for (; i < last; ++i) one(i, 0);
    Bits any = 0;
    for (const Bits bits : carried) any |= bits;
    if ((any & ~magnitude) != 0) return false;
  }
  return true;
}

}  // namespace

bool all_finite(const float* x, std::int64_t n) {
  return check<float, std::uint32_t>(x, n, 0x7FFFFFFFU, std::uint32_t{1} << 23);
}

bool all_finite(const double* x, std::int64_t n) {
  return check<double, std::uint64_t>(x, n, 0x7FFFFFFFFFFFFFFFU, std::uint64_t{1} << 52);
}

bool any_zero_row(const float* x, std::int64_t n, std::int64_t dim) {
  const auto zero = [](float value) { return value == 0.0F; };
  for (std::int64_t i = 0; i < n; ++i) {
    if (std::all_of(x + i * dim, x + (i + 1) * dim, zero)) return true;
  }
  return false;
}

}  // namespace vl
