// SPDX-License-Identifier: Apache-2.0
// Words of texts, numbered in the order in which they first came.
//
// A word is a longest run of at least two word characters (Python's \w: letters, digits, numerals
// of any script, underscore), as in the regular expression \b\w\w+\b. Which characters those are is
// told by the caller, as ranges of code points; texts come lower-cased, in UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "index/inverted.h"

namespace vl {

class Words {
 public:
  // n ranges [first, last) of code points, as pairs.
  Words(const std::uint32_t* ranges, std::size_t n);

  std::int64_t size() const { return static_cast<std::int64_t>(starts_.size()) - 1; }
  std::string_view word(std::int64_t number) const {
    const auto i = static_cast<std::size_t>(number);
    return {text_.data() + starts_[i], static_cast<std::size_t>(starts_[i + 1] - starts_[i])};
  }
  std::size_t bytes() const;

  // Appends the numbers of the words of a text. What is not known is taken in where `grow`, and
  // left out else.
  void cut(std::string_view text, bool grow, std::vector<std::int32_t>& numbers);
  // The number of a word, or -1; taken in where `grow`.
  std::int32_t number(std::string_view word, bool grow);

 private:
  bool is_word(std::uint32_t point) const { return (flags_[point >> 6] >> (point & 63) & 1) != 0; }
  void rehash();

  struct Slot {
    std::uint32_t check;  // the upper half of the hash
    std::int32_t number;  // -1: free
  };
  std::vector<std::uint64_t> flags_;  // a bit a code point
  std::uint8_t ascii_[128];
  std::vector<Slot> slots_;
  std::vector<char> text_;
  std::vector<std::int64_t> starts_;
};

// Rows of (term, how often), ascending, of texts cut into words: term_of[word] is a word's term, or
// -1 for words that are left out; nullptr: words are terms.
struct TermCounts {
  std::vector<std::int64_t> starts;
  std::vector<std::int32_t> terms;
  std::vector<float> counts;
  std::vector<std::int64_t> lengths;  // words of each text that count
};
TermCounts count_terms(const std::int64_t* starts, std::int64_t n, const std::int32_t* words,
                       const std::int32_t* term_of, std::int64_t n_terms);

}  // namespace vl
