// SPDX-License-Identifier: Apache-2.0
// What a word learner draws from: which tokens it keeps, which words it takes as false ones, and
// the binary tree of hierarchical softmax.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace vl {

// A word in proportion to its weight, in constant time: Walker's alias method in Vose's form
// ("A linear algorithm for generating random numbers with a given distribution", IEEE TSE 1991,
// doi:10.1109/32.92917). Resolution 2^-32 of a slot.
class AliasTable {
 public:
  explicit AliasTable(const std::vector<double>& weights);
  std::int32_t draw(Random& random) const {
    const std::uint32_t number = random.below(static_cast<std::uint32_t>(slots_.size()));
    const Slot slot = slots_[number];
    // Without a branch: it would go either way.
    const std::uint32_t own = 0u - static_cast<std::uint32_t>(random.uint32() < slot.limit);
    const auto other = static_cast<std::uint32_t>(slot.other);
    return static_cast<std::int32_t>((number & own) | (other & ~own));
  }

 private:
  struct Slot {
    std::uint32_t limit;
    std::int32_t other;
  };
  std::vector<Slot> slots_;
};

// Weights count^exponent of the words.
AliasTable noise_words(std::span<const std::int64_t> counts, double exponent);

// A token of the word w stays when 32 random bits are below keep[w], or equal: its share is
// min(1, sqrt(t / f) + t / f), f the word's share of all tokens, t = `sample` (word2vec.c). 0 keeps
// all.
std::vector<std::uint32_t> keep_limits(std::span<const std::int64_t> counts, double sample);

// Huffman's tree over the counts: the inner nodes from the root to each word, and for each of them
// 1 where the way goes left.
struct WordTree {
  std::vector<std::int64_t> offsets;  // of word w: [offsets[w], offsets[w + 1])
  std::vector<std::int32_t> nodes;    // in [0, n_words - 1)
  std::vector<float> labels;
};
WordTree word_tree(std::span<const std::int64_t> counts);

}  // namespace vl
