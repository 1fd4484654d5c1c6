// SPDX-License-Identifier: Apache-2.0
// What one piece of a corpus asks of a word learner: the windows of its tokens, drawn by counter,
// so that they depend on the seed, the epoch and the place in the corpus alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "learn/word_sampling.h"

namespace vl {

inline constexpr std::int32_t kSentenceEnd = -1;  // between sentences: windows do not reach over it

// Whether the text that a word is of is an input too: beside its neighbours, or in their place. A
// text is then what one kSentenceEnd ends, and number n_words + i names the i-th.
enum class TextInput { kNone, kBeside, kAlone };

struct WindowRules {
  int window = 5;
  int negative = 5;
  bool tree = false;     // hierarchical softmax
  bool by_slot = false;  // inputs are numbers of `WordPlan::slots`, not words
  bool merge = true;     // an input that is named twice is one row with twice the weight
  TextInput text = TextInput::kNone;
  int together = 1;  // texts alone: words in a row that share a window and its false words
  int shared = 1;    // windows of one word each, in a row, that share false words
  std::int64_t unit_tokens = 64;  // of one piece
  std::uint64_t seed = 0;
};

// One window: inputs [in, in + m), outputs [out, out + n).
struct WindowSpan {
  std::int32_t in, m, out, n;
  std::int64_t gradients;  // where its m * n gradients begin (1 * n for CBOW)
  std::int64_t token;      // in the corpus, of the word that it is of
  std::int32_t truths;     // words that it tells: each false word stands for one of each of them
};

struct WordPlan {
  std::vector<std::int32_t> places;  // the words kept, those around the piece included
  // The different inputs, if windows name slots: words, or texts where these stand alone.
  std::vector<std::int32_t> slots;
  std::vector<std::int32_t> slot_of;  // of each place
  std::vector<WindowSpan> windows;
  std::vector<std::int32_t> inputs;   // words and texts, or numbers of slots
  std::vector<float> weights;         // how often a window names each input
  std::vector<std::int32_t> outputs;  // rows: words, then the nodes of the tree
  std::vector<float> labels;          // of outputs; empty: the first of each window is the true one
  std::int64_t n_gradients = 0;
};

class WordPlanner {
 public:
  WordPlanner(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
              double sample, double noise_exponent, const WindowRules& rules);

  std::int64_t n_units() const {
    return (static_cast<std::int64_t>(tokens_.size()) + rules_.unit_tokens - 1) /
           rules_.unit_tokens;
  }
  std::int64_t n_words() const { return static_cast<std::int64_t>(keep_.size()); }
  // Rows that `WordPlan::outputs` may name.
  std::int64_t n_outputs() const { return n_words() + (rules_.tree ? n_words() - 1 : 0); }
  // Texts, where they are inputs; the tokens of text i are [text_begin(i), text_end(i)).
  std::int64_t n_texts() const { return static_cast<std::int64_t>(starts_.size()) - 1; }
  std::int64_t text_begin(std::int64_t i) const { return starts_[static_cast<std::size_t>(i)]; }
  std::int64_t text_end(std::int64_t i) const {
    return starts_[static_cast<std::size_t>(i) + 1] - 1;
  }

  void plan(std::int64_t epoch, std::int64_t unit, WordPlan& plan) const;
  // The tokens [begin, end) of one text. What is drawn depends on places counted from `origin` on:
  // where that is the text's begin, equal texts are drawn alike wherever they stand.
  void plan_text(std::int64_t epoch, std::int64_t text, std::int64_t begin, std::int64_t end,
                 std::int64_t origin, WordPlan& plan) const;

 private:
  struct Kept;
  // Draws are counted from the token `origin` on.
  struct Part {
    std::int64_t epoch, begin, end, origin;
    std::int32_t text;  // of the first token
  };
  void plan_part(const Part& part, WordPlan& plan) const;
  void keep_tokens(const Part& part, Kept& kept) const;
  bool is_kept(const Part& part, std::int64_t token, Kept& kept) const;
  void add_inputs(std::int32_t center, std::int32_t low, std::int32_t high, WordPlan& plan) const;
  void add_text(std::int32_t text, WordPlan& plan) const;
  static void find_slots(WordPlan& plan);
  void add_outputs(std::span<const std::int32_t> words, bool again, Random& random,
                   WordPlan& plan) const;

  std::span<const std::int32_t> tokens_;
  std::vector<std::uint32_t> keep_;
  AliasTable noise_;
  WordTree tree_;
  WindowRules rules_;
  std::vector<std::int64_t> starts_{0};  // first token of each text, and the end; where texts count
};

}  // namespace vl
