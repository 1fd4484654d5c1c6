// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: the numbers of an item depend on (seed, stream, item) alone, never
// on which thread asks or in what order, so the same seed gives the same bits at any thread count.
//
// Philox4x32-10 of Salmon, Moraes, Dror, Shaw. "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011, doi:10.1145/2063384.2063405. Checked against the authors' known answers
// (tests/kernels/test_random.py).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace vl {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

// 128 random bits: ten rounds on the counter, the key raised by a Weyl sequence before
// rounds 2..10.
inline PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53u;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57u;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9u;  // golden ratio
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85u;  // sqrt(3) - 1
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key[0] += kWeyl0;
      key[1] += kWeyl1;
    }
    const std::uint64_t a = kMultiplier0 * counter[0];
    const std::uint64_t b = kMultiplier1 * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
  }
  return counter;
}

// The sequence of one item. `stream` keeps the uses of one seed apart (each algorithm step its
// own); `item` is the row, the tree, the task. An item has 2^34 32-bit numbers before it repeats.
class Random {
 public:
  Random(std::uint64_t seed, std::uint32_t stream, std::uint64_t item = 0)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        counter_{0, stream, static_cast<std::uint32_t>(item),
                 static_cast<std::uint32_t>(item >> 32)} {}

  std::uint32_t uint32() {
    if (used_ == 4) {
      block_ = philox4x32(counter_, key_);
      ++counter_[0];
      used_ = 0;
    }
    return block_[used_++];
  }

  std::uint64_t uint64() {
    const std::uint64_t low = uint32();
    return (static_cast<std::uint64_t>(uint32()) << 32) | low;
  }

  // In [0, 1), every multiple of 2^-24 equally likely.
  float uniform() { return static_cast<float>(uint32() >> 8) * 0x1p-24f; }

  // In [0, 1), every multiple of 2^-53 equally likely.
  double uniform64() { return static_cast<double>(uint64() >> 11) * 0x1p-53; }

  // In [0, n), n > 0, without modulo bias: Lemire, "Fast random integer generation in an interval",
  // ACM TOMACS 2019, doi:10.1145/3230636.
  std::uint32_t below(std::uint32_t n) {
    std::uint64_t product = static_cast<std::uint64_t>(uint32()) * n;
    if (static_cast<std::uint32_t>(product) < n) {
      const std::uint32_t reject = (0u - n) % n;
      while (static_cast<std::uint32_t>(product) < reject) {
        product = static_cast<std::uint64_t>(uint32()) * n;
      }
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

  // In [0, n), n > 0; bits masked down and rejected, since a 128-bit product is not portable.
  std::uint64_t below64(std::uint64_t n) {
    if (n <= UINT32_MAX) return below(static_cast<std::uint32_t>(n));
    std::uint64_t mask = n - 1;
    for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
    for (;;) {
      const std::uint64_t value = uint64() & mask;
      if (value < n) return value;
    }
  }

  // Standard normal, Box and Muller in float64; the second of each pair is kept for the next call.
  float normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    constexpr double kTwoPi = 6.283185307179586476925286766559;
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform64()));
    const double angle = kTwoPi * uniform64();
    spare_ = static_cast<float>(radius * std::sin(angle));
    has_spare_ = true;
    return static_cast<float>(radius * std::cos(angle));
  }

 private:
  PhiloxKey key_;
  PhiloxCounter counter_;
  PhiloxCounter block_{};
  unsigned used_ = 4;
  bool has_spare_ = false;
  float spare_ = 0.0f;
};

}  // namespace vl
