// SPDX-License-Identifier: Apache-2.0
#include "learn/subwords.h"

#include <string>

namespace vl {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace

void subword_buckets(std::string_view word, int min_n, int max_n, std::uint32_t n_buckets,
                     std::vector<std::int32_t>& buckets) {
  std::string text(1, '<');
  text.append(word);
  text.push_back('>');
  const std::size_t size = text.size();
  for (std::size_t begin = 0; begin < size; ++begin) {
    if (continues(text[begin])) continue;
    std::uint32_t hash = 2166136261u;
    std::size_t at = begin;
    for (int n = 1; at < size && n <= max_n; ++n) {
      do {
        // fastText sign-extends the bytes, by accident at first; its files depend on it.
        hash ^= static_cast<std::uint32_t>(static_cast<signed char>(text[at]));
        hash *= 16777619u;
        ++at;
      } while (at < size && continues(text[at]));
      if (n < min_n || (n == 1 && (begin == 0 || at == size))) continue;
      buckets.push_back(static_cast<std::int32_t>(hash % n_buckets));
    }
  }
}

}  // namespace vl
