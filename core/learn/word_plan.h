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
struct WindowRules {
  int window = 5;
  int negative = 5;
  bool tree = false;              // hierarchical softmax
  bool by_slot = false;           // inputs are numbers of `WordPlan::slots`, not words
  bool merge = true;              // an input that is named twice is one row with twice the weight
  std::int64_t unit_tokens = 64;  // of one piece
  std::uint64_t seed = 0;
};

// One window: inputs [in, in + m), outputs [out, out + n).
struct WindowSpan {
  std::int32_t in, m, out, n;
  std::int64_t gradients;  // where its m * n gradients begin (1 * n for CBOW)
};

struct WordPlan {
  std::vector<std::int32_t> places;   // the words kept, those around the piece included
  std::vector<std::int32_t> slots;    // the different ones among them, if inputs are slots
  std::vector<std::int32_t> slot_of;  // of each place
  std::vector<WindowSpan> windows;
  std::vector<std::int32_t> inputs;   // words, or numbers of slots
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
  // The most inputs of a window, and outputs.
  int max_inputs() const { return 2 * rules_.window; }
  int max_outputs() const { return max_outputs_; }

  void plan(std::int64_t epoch, std::int64_t unit, WordPlan& plan) const;

 private:
  struct Kept;
  void keep_tokens(std::int64_t epoch, std::int64_t unit, Kept& kept) const;
  bool is_kept(std::int64_t epoch, std::int64_t token, Kept& kept) const;
  void add_inputs(std::int32_t center, std::int32_t low, std::int32_t high, WordPlan& plan) const;
  static void find_slots(WordPlan& plan);
  void add_outputs(std::int32_t word, Random& random, WordPlan& plan) const;

  std::span<const std::int32_t> tokens_;
  std::vector<std::uint32_t> keep_;
  AliasTable noise_;
  WordTree tree_;
  WindowRules rules_;
  int max_outputs_;
};

}  // namespace vl
