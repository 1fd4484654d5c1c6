// SPDX-License-Identifier: Apache-2.0
// Sent2Vec (Pagliardini, Gupta, Jaggi, NAACL 2018, arXiv:1703.02507): each word of a text is told
// from the mean of the rows of all its other words and n-grams.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/text_parts.h"

namespace vl {

struct SentenceOptions : TextTraining {
  int steps = 7;  // cache lines of a row
};

class SentenceTrainer {
 public:
  // `grams` has `n_orders` rows of `in` for each token: those of the n-grams of 2, 3, … words that
  // begin there, or -1. Views outlive the trainer; matrices as in WordTrainer.
  SentenceTrainer(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
                  std::span<const std::int32_t> grams, int n_orders, float* in, float* out,
                  const SentenceOptions& options);
  ~SentenceTrainer();

  std::int64_t n_steps() const { return lanes_.n_steps(); }
  // As in WordTrainer.
  WordLoss run(std::int64_t begin, std::int64_t end, int n_jobs);
  WordLoss evaluate(int n_jobs);

 private:
  struct Work;
  void prepare(const Piece& piece, Work& work) const;
  void list_rows(const TextPart& unit, Work& work) const;
  template <class Use>
  void rows_with(const TextPart& unit, std::int64_t token, const Use& use) const;
  int hidden_of(Work& work, const WindowSpan& window, int first, int last, float* hidden) const;
  WordLoss score(const Piece& piece, Work& work) const;
  void move(Work& work, int first, int last) const;
  PieceWork pieces();

  SentenceOptions options_;
  WordPlanner planner_;
  std::span<const std::int32_t> tokens_, grams_;
  int n_orders_;
  float* in_;
  float* out_;
  std::vector<TextPart> units_;
  Lanes lanes_;
  std::size_t stride_;
  std::vector<Work> works_;
};

}  // namespace vl
