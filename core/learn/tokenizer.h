// SPDX-License-Identifier: Apache-2.0
// Cuts UTF-8 text into words, by tables of character classes that the caller brings.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vl {

enum class CharClass : std::uint8_t {
  kOther = 0,   // between words
  kLetter = 1,  // letters and the marks that belong to them
  kDigit = 2,
  kAlone = 3,  // ideographs and kana: a word each, since their scripts leave no blanks
  kBlank = 4,  // white space
};

struct TokenizerRules {
  bool by_blanks = false;  // words are what stands between white space, as fastText has it
  bool lowercase = true;
  bool digits = true;    // otherwise digits separate
  int min_length = 1;    // characters; shorter words are left out
  int max_length = 100;  // longer ones too: they are no words
};

class Tokenizer {
 public:
  // One entry a code point from 0 on; those beyond the tables are kOther and have no other case.
  Tokenizer(std::span<const std::uint8_t> classes, std::span<const std::int32_t> lower,
            const TokenizerRules& rules);

  // Calls word(std::string_view) for each word and line() at each line end, in their order. Returns
  // the offset of the first byte that is not UTF-8, or is NUL, and stops there; or -1. With
  // `forgiving` such bytes count as characters between words.
  template <class Word, class Line>
  std::int64_t split(std::string_view text, bool forgiving, Word&& word, Line&& line);

 private:
  struct Char {
    std::uint32_t code;
    int size;  // bytes; 0: not UTF-8
  };
  static Char decode(const unsigned char* p, const unsigned char* end);
  CharClass class_of(std::uint32_t code) const {
    return code < classes_.size() ? static_cast<CharClass>(classes_[code]) : CharClass::kOther;
  }
  bool belongs(CharClass found) const {
    if (rules_.by_blanks) return found != CharClass::kBlank;
    return found == CharClass::kLetter || (found == CharClass::kDigit && rules_.digits);
  }
  void append(std::uint32_t code);
  template <class Word>
  void flush(Word&& word);

  std::span<const std::uint8_t> classes_;
  std::span<const std::int32_t> lower_;
  TokenizerRules rules_;
  std::vector<char> word_;
  int length_ = 0;
};

inline Tokenizer::Char Tokenizer::decode(const unsigned char* p, const unsigned char* end) {
  const unsigned char first = *p;
  if (first < 0x80) return {first, first == 0 ? 0 : 1};
  const int size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || end - p < size) return {0, 0};
  std::uint32_t code = first & (0x7fu >> size);
  for (int i = 1; i < size; ++i) {
    if ((p[i] & 0xc0) != 0x80) return {0, 0};
    code = (code << 6) | (p[i] & 0x3fu);
  }
  // Longer than needed, half of a surrogate pair, or beyond the last code point.
  const bool wrong = (size == 3 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
                     (size == 4 && (code < 0x10000 || code > 0x10ffff));
  return {code, wrong ? 0 : size};
}

inline void Tokenizer::append(std::uint32_t code) {
  ++length_;
  if (length_ > rules_.max_length) return;
  if (rules_.lowercase && code < lower_.size()) code = static_cast<std::uint32_t>(lower_[code]);
  const auto put = [this](std::uint32_t byte) { word_.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

template <class Word>
void Tokenizer::flush(Word&& word) {
  if (length_ >= rules_.min_length && length_ <= rules_.max_length && length_ > 0) {
    word(std::string_view(word_.data(), word_.size()));
  }
  word_.clear();
  length_ = 0;
}

template <class Word, class Line>
std::int64_t Tokenizer::split(std::string_view text, bool forgiving, Word&& word, Line&& line) {
  const auto* begin = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* end = begin + text.size();
  for (const unsigned char* p = begin; p < end;) {
    const Char c = decode(p, end);
    if (c.size == 0) {
      if (!forgiving) {
        word_.clear();
        length_ = 0;
        return p - begin;
      }
      flush(word);
      ++p;
      continue;
    }
    const CharClass found = class_of(c.code);
    if (belongs(found)) {
      append(c.code);
    } else {
      flush(word);
      if (found == CharClass::kAlone) {
        append(c.code);
        flush(word);
      }
      if (c.code == '\n') line();
    }
    p += c.size;
  }
  flush(word);
  return -1;
}

}  // namespace vl
