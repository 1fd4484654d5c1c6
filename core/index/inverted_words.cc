// SPDX-License-Identifier: Apache-2.0
#include "index/inverted_words.h"

#include <algorithm>
#include <cstring>

#include "base/errors.h"
#include "base/threads.h"

namespace vl {
namespace {

constexpr std::uint32_t kCodePoints = 0x110000;
constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15u;

std::uint64_t hash_of(std::string_view word) {
  std::uint64_t hash = word.size() * kOdd;
  const char* at = word.data();
  std::size_t left = word.size();
  const auto mix = [&hash](std::uint64_t part) {
    hash = (hash ^ part) * kOdd;
    hash ^= hash >> 32;
  };
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t part;
    std::memcpy(&part, at, 8);
    mix(part);
  }
  std::uint64_t part = 0;
  std::memcpy(&part, at, left);
  mix(part);
  return hash * kOdd;
}

// The code point at `at`, and how many bytes it has; the text is valid UTF-8.
std::uint32_t decode(const unsigned char* at, std::size_t& bytes) {
  if (at[0] < 0xE0) {
    bytes = 2;
    return (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu);
  }
  if (at[0] < 0xF0) {
    bytes = 3;
    return (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
  }
  bytes = 4;
  return (at[0] & 0x07u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
}

}  // namespace

Words::Words(const std::uint32_t* ranges, std::size_t n)
    : flags_(kCodePoints / 64), slots_(1 << 12, Slot{0, -1}), starts_{0} {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t last = std::min(ranges[2 * i + 1], kCodePoints);
    for (std::uint32_t p = ranges[2 * i]; p < last; ++p)
      flags_[p >> 6] |= std::uint64_t{1} << (p & 63);
  }
  for (std::uint32_t p = 0; p < 128; ++p) ascii_[p] = is_word(p) ? 1 : 0;
}

std::size_t Words::bytes() const {
  return flags_.size() * 8 + slots_.size() * sizeof(Slot) + text_.size() + starts_.size() * 8;
}

void Words::cut(std::string_view text, bool grow, std::vector<std::int32_t>& numbers) {
  const auto* const data = reinterpret_cast<const unsigned char*>(text.data());
  const std::size_t end = text.size();
  std::size_t at = 0;
  while (at < end) {
    const std::size_t start = at;
    std::size_t points = 0;
    while (at < end) {
      if (data[at] < 0x80) {
        if (ascii_[data[at]] == 0) break;
        ++at;
      } else {
        std::size_t bytes;
        if (!is_word(decode(data + at, bytes))) break;
        at += bytes;
      }
      ++points;
    }
    if (points >= 2) {
      const std::int32_t found = number(text.substr(start, at - start), grow);
      if (found >= 0) numbers.push_back(found);
    }
    // Past what ended the word, all bytes of it.
    if (at < end) ++at;
    while (at < end && (data[at] & 0xC0u) == 0x80u) ++at;
  }
}

std::int32_t Words::number(std::string_view word, bool grow) {
  const std::uint64_t hash = hash_of(word);
  const auto check = static_cast<std::uint32_t>(hash);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = static_cast<std::size_t>(hash >> 32) & mask;
  for (; slots_[slot].number >= 0; slot = (slot + 1) & mask) {
    if (slots_[slot].check == check && this->word(slots_[slot].number) == word)
      return slots_[slot].number;
  }
  if (!grow) return -1;
  if (size() >= INT32_MAX) throw Error(ErrorKind::kCapacity, "more than 2^31 different words");
  const auto fresh = static_cast<std::int32_t>(size());
  text_.insert(text_.end(), word.begin(), word.end());
  starts_.push_back(static_cast<std::int64_t>(text_.size()));
  slots_[slot] = {check, fresh};
  if (2 * static_cast<std::size_t>(size()) > slots_.size()) rehash();
  return fresh;
}

void Words::rehash() {
  std::vector<Slot> slots(slots_.size() * 4, Slot{0, -1});
  const std::size_t mask = slots.size() - 1;
  for (std::int64_t i = 0; i < size(); ++i) {
    const std::uint64_t hash = hash_of(word(i));
    std::size_t slot = static_cast<std::size_t>(hash >> 32) & mask;
    while (slots[slot].number >= 0) slot = (slot + 1) & mask;
    slots[slot] = {static_cast<std::uint32_t>(hash), static_cast<std::int32_t>(i)};
  }
  slots_ = std::move(slots);
}

TermCounts count_terms(const std::int64_t* starts, std::int64_t n, const std::int32_t* words,
                       const std::int32_t* term_of, std::int64_t n_terms) {
  TermCounts out;
  out.starts.reserve(static_cast<std::size_t>(n) + 1);
  out.starts.push_back(0);
  out.terms.reserve(static_cast<std::size_t>(starts[n]));
  std::vector<float> count_of(static_cast<std::size_t>(n_terms), 0.0F);
  for (std::int64_t r = 0; r < n; ++r) {
    if (r % 4096 == 0) poll_interrupt();
    const std::size_t first = out.terms.size();
    std::int64_t length = 0;
    for (std::int64_t i = starts[r]; i < starts[r + 1]; ++i) {
      const std::int32_t term = term_of != nullptr ? term_of[words[i]] : words[i];
      if (term < 0) continue;
      ++length;
      float& count = count_of[static_cast<std::size_t>(term)];
      if (count == 0.0F) out.terms.push_back(term);
      count += 1.0F;
    }
    std::sort(out.terms.begin() + static_cast<std::ptrdiff_t>(first), out.terms.end());
    for (std::size_t i = first; i < out.terms.size(); ++i) {
      float& count = count_of[static_cast<std::size_t>(out.terms[i])];
      out.counts.push_back(count);
      count = 0.0F;
    }
    out.lengths.push_back(length);
    out.starts.push_back(static_cast<std::int64_t>(out.terms.size()));
  }
  return out;
}

}  // namespace vl
