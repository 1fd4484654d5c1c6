// SPDX-License-Identifier: Apache-2.0
#include "index/twins.h"

#include <algorithm>
#include <cstring>

#include "base/threads.h"

namespace vl {
namespace {

struct Hashed {
  std::uint64_t hash;
  std::int32_t row;
  bool operator<(const Hashed& o) const { return hash < o.hash || (hash == o.hash && row < o.row); }
};

// Four streams of multiply and rotate, so that a row is read at the speed of memory.
std::uint64_t hash_of(const void* data, std::size_t n) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ull;
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::uint64_t state[4] = {1, 2, 3, 4};
  const auto mix = [](std::uint64_t s, std::uint64_t word) {
    s = (s ^ word) * kOdd;
    return s ^ (s >> 29);
  };
  std::size_t at = 0;
  for (; at + 32 <= n; at += 32) {
    std::uint64_t words[4];
    std::memcpy(words, bytes + at, sizeof words);
    for (int i = 0; i < 4; ++i) state[i] = mix(state[i], words[i]);
  }
  for (; at < n; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + at, std::min<std::size_t>(8, n - at));
    state[0] = mix(state[0], word);
  }
  return mix(mix(mix(state[0], state[1]), state[2]), state[3]);
}

}  // namespace

std::vector<std::int32_t> first_twins(const Points& points, std::int64_t first, std::int64_t last,
                                      int n_threads) {
  constexpr std::int64_t kBlock = 4096;
  const std::int64_t n = last - first;
  std::vector<Hashed> hashed(static_cast<std::size_t>(n));
  const Rows& rows = points.rows();
  parallel_for((n + kBlock - 1) / kBlock, n_threads, [&](std::int64_t task, int) {
    for (std::int64_t i = task * kBlock; i < std::min(n, (task + 1) * kBlock); ++i) {
      hashed[static_cast<std::size_t>(i)] = {hash_of(rows.row(first + i), rows.stride()),
                                             static_cast<std::int32_t>(first + i)};
    }
  });
  std::sort(hashed.begin(), hashed.end());
  std::vector<std::int32_t> out(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < hashed.size(); ++i) {
    std::int32_t root = hashed[i].row;
    // Of one hash, which almost always is one row.
    for (std::size_t j = i; j > 0 && hashed[j - 1].hash == hashed[i].hash; --j) {
      if (!points.same(hashed[j - 1].row, hashed[i].row)) continue;
      root = out[static_cast<std::size_t>(hashed[j - 1].row - first)];
      break;
    }
    out[static_cast<std::size_t>(hashed[i].row - first)] = root;
  }
  return out;
}

}  // namespace vl
