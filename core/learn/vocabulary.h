// SPDX-License-Identifier: Apache-2.0
// Counts the words of a corpus and writes it down as numbers, in one pass: words get provisional
// numbers as they come, and their final ones, by frequency, when all have been seen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vl {

// Between sentences, as the word learners take it.
inline constexpr std::int32_t kLineEnd = -1;

struct FinalWords {
  std::string bytes;                  // UTF-8, one word after the other
  std::vector<std::int64_t> offsets;  // of word w: [offsets[w], offsets[w + 1])
  std::vector<std::int64_t> counts;   // falling; equal counts in the order of first sight
  std::vector<std::int32_t> numbers;  // final number of each provisional one, or kDropped
};

inline constexpr std::int32_t kDropped = -2;

class VocabularyCounter {
 public:
  // More than `limit` words at once are never kept: the rarest go, and with them what had been
  // counted of them. A word whose count exceeds `lost()` in the end was never dropped.
  explicit VocabularyCounter(std::int64_t limit);

  void add(std::string_view word);
  void end_line() {
    if (!tokens_.empty() ? tokens_.back() != kLineEnd : !ended_) tokens_.push_back(kLineEnd);
    ended_ = true;
  }

  std::int64_t n_tokens() const { return n_tokens_; }
  std::int64_t n_words() const { return static_cast<std::int64_t>(entries_.size()); }
  std::int64_t lost() const { return lost_; }
  // The provisional numbers since the last call.
  std::vector<std::int32_t> take_tokens();
  std::size_t pending() const { return tokens_.size(); }

  FinalWords finish(std::int64_t min_count, std::int64_t max_words) const;

 private:
  struct Entry {
    std::uint64_t at;  // in bytes_
    std::uint32_t size;
    std::uint32_t hash;
    std::int64_t count;
    std::int32_t number;  // provisional
  };
  std::string_view word_of(const Entry& entry) const {
    return {bytes_.data() + entry.at, entry.size};
  }
  void rebuild(std::size_t slots);
  void prune();

  std::int64_t limit_;
  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<std::int32_t> slots_;  // entry of each slot, -1: free; a power of two of them
  std::vector<std::int32_t> tokens_;
  bool ended_ = true;
  std::int64_t n_tokens_ = 0;
  std::int64_t lost_ = 0;
  std::int32_t next_number_ = 0;
};

// Puts final numbers for provisional ones in place, leaving out what was dropped and sentences that
// are empty then; returns how many are left. `open` says whether the last sentence has tokens, and
// is carried from one part of a corpus to the next.
std::int64_t renumber(std::int32_t* tokens, std::int64_t n, const std::int32_t* numbers,
                      std::int64_t n_numbers, bool& open);

}  // namespace vl
