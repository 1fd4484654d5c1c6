// SPDX-License-Identifier: Apache-2.0
#include "learn/vocabulary.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/errors.h"

namespace vl {
namespace {

constexpr std::size_t kFirstSlots = 1 << 12;
// After pruning this share of the limit is left, so that it is not reached again at once.
constexpr double kLeft = 0.75;

// FNV-1a over eight bytes at a time, mixed by a multiply and shift. The table only needs it to be
// even, and words are short.
std::uint32_t hash_of(std::string_view word) {
  std::uint64_t h = 0xcbf29ce484222325u ^ word.size();
  while (word.size() >= 8) {
    std::uint64_t part = 0;
    std::memcpy(&part, word.data(), 8);
    h = (h ^ part) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29;
    word.remove_prefix(8);
  }
  std::uint64_t part = 0;
  std::memcpy(&part, word.data(), word.size());
  h = (h ^ part) * 0x9E3779B97F4A7C15u;
  return static_cast<std::uint32_t>(h >> 32) ^ static_cast<std::uint32_t>(h >> 7);
}

}  // namespace

VocabularyCounter::VocabularyCounter(std::int64_t limit) : limit_(limit), slots_(kFirstSlots, -1) {}

void VocabularyCounter::rebuild(std::size_t slots) {
  slots_.assign(slots, -1);
  for (std::size_t e = 0; e < entries_.size(); ++e) {
    std::size_t slot = entries_[e].hash & (slots - 1);
    while (slots_[slot] >= 0) slot = (slot + 1) & (slots - 1);
    slots_[slot] = static_cast<std::int32_t>(e);
  }
}

void VocabularyCounter::add(std::string_view word) {
  const std::uint32_t hash = hash_of(word);
  const std::size_t mask = slots_.size() - 1;
  ++n_tokens_;
  ended_ = false;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    const std::int32_t found = slots_[slot];
    if (found >= 0) {
      Entry& entry = entries_[static_cast<std::size_t>(found)];
      if (entry.hash != hash || word_of(entry) != word) continue;
      ++entry.count;
      tokens_.push_back(entry.number);
      return;
    }
    if (next_number_ == std::numeric_limits<std::int32_t>::max()) {
      throw Error(ErrorKind::kCapacity, "the corpus has more than 2^31 different words");
    }
    entries_.push_back(
        {bytes_.size(), static_cast<std::uint32_t>(word.size()), hash, 1, next_number_});
    bytes_.append(word);
    slots_[slot] = static_cast<std::int32_t>(entries_.size() - 1);
    tokens_.push_back(next_number_++);
    break;
  }
  if (n_words() > limit_) {
    prune();
  } else if (entries_.size() * 2 > slots_.size()) {
    rebuild(slots_.size() * 2);
  }
}

void VocabularyCounter::prune() {
  std::vector<std::int64_t> counts;
  counts.reserve(entries_.size());
  for (const Entry& entry : entries_) counts.push_back(entry.count);
  const auto keep = static_cast<std::ptrdiff_t>(static_cast<double>(limit_) * kLeft);
  std::nth_element(counts.begin(), counts.begin() + keep, counts.end(), std::greater<>());
  const std::int64_t floor = counts[static_cast<std::size_t>(keep)];
  lost_ += floor;
  // In place: words lie in the order of their entries, so that each one moves to the left.
  std::size_t kept = 0;
  std::uint64_t at = 0;
  for (Entry entry : entries_) {
    if (entry.count <= floor) continue;
    std::memmove(bytes_.data() + at, bytes_.data() + entry.at, entry.size);
    entry.at = at;
    at += entry.size;
    entries_[kept++] = entry;
  }
  bytes_.resize(at);
  entries_.resize(kept);
  rebuild(slots_.size());
}

std::vector<std::int32_t> VocabularyCounter::take_tokens() {
  std::vector<std::int32_t> taken;
  taken.swap(tokens_);
  return taken;
}

FinalWords VocabularyCounter::finish(std::int64_t min_count, std::int64_t max_words) const {
  std::vector<std::size_t> order;
  for (std::size_t e = 0; e < entries_.size(); ++e) {
    if (entries_[e].count >= min_count) order.push_back(e);
  }
  // Entries stand in the order of first sight, which a stable sort keeps.
  std::stable_sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
    return entries_[a].count > entries_[b].count;
  });
  if (static_cast<std::int64_t>(order.size()) > max_words) {
    order.resize(static_cast<std::size_t>(max_words));
  }
  FinalWords words;
  words.numbers.assign(static_cast<std::size_t>(next_number_), kDropped);
  words.offsets.push_back(0);
  for (const std::size_t e : order) {
    const Entry& entry = entries_[e];
    words.numbers[static_cast<std::size_t>(entry.number)] =
        static_cast<std::int32_t>(words.counts.size());
    words.bytes.append(word_of(entry));
    words.offsets.push_back(static_cast<std::int64_t>(words.bytes.size()));
    words.counts.push_back(entry.count);
  }
  return words;
}

std::int64_t renumber(std::int32_t* tokens, std::int64_t n, const std::int32_t* numbers,
                      std::int64_t n_numbers, bool& open) {
  std::int64_t left = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int32_t token = tokens[i];
    if (token < 0 || token >= n_numbers) {
      if (open) tokens[left++] = kLineEnd;
      open = false;
      continue;
    }
    const std::int32_t number = numbers[token];
    if (number == kDropped) continue;
    tokens[left++] = number;
    open = true;
  }
  return left;
}

}  // namespace vl
