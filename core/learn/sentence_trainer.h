// SPDX-License-Identifier: Apache-2.0
// Sent2Vec (Pagliardini, Gupta, Jaggi, NAACL 2018, arXiv:1703.02507): each word of a text is told
// from the mean of the rows of all its other words and n-grams.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/word_plan.h"
#include "learn/word_trainer.h"

namespace vl {

struct SentenceOptions {
  int steps = 7;  // cache lines of a row
  int negative = 5;
  bool deterministic = true;
  double sample = 1e-4;
  double noise_exponent = 0.5;
  double alpha = 0.2;
  double min_alpha = 1e-4;
  std::int64_t epochs = 5;
  std::uint64_t seed = 0;
};

class SentenceTrainer {
 public:
  // `grams` has `n_orders` rows of `in` for each token: those of the n-grams of 2, 3, … words that
  // begin there, or -1. Views outlive the trainer; matrices as in WordTrainer.
  SentenceTrainer(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
                  std::span<const std::int32_t> grams, int n_orders, float* in, float* out,
                  const SentenceOptions& options);
  ~SentenceTrainer();

  std::int64_t n_steps() const { return steps_an_epoch_ * options_.epochs; }
  // As WordTrainer::run.
  WordLoss run(std::int64_t begin, std::int64_t end, int n_jobs);

 private:
  struct Work;
  // Words of one text that are told together, from the rows as they are.
  struct Unit {
    std::int32_t text;
    std::int64_t begin, end;
  };
  void prepare(std::int64_t step, std::int64_t unit, Work& work) const;
  void list_rows(const Unit& unit, Work& work) const;
  template <class Use>
  void rows_with(const Unit& unit, std::int64_t token, const Use& use) const;
  int hidden_of(Work& work, const WindowSpan& window, int first, int last, float* hidden) const;
  void score(Work& work, WordLoss& loss) const;
  void move(Work& work, int first, int last) const;
  double rate_of(std::int64_t step) const;
  WordLoss run_free(std::int64_t begin, std::int64_t end, int n_jobs);
  WordLoss run_ordered(std::int64_t begin, std::int64_t end, int n_jobs);

  SentenceOptions options_;
  WordPlanner planner_;
  std::span<const std::int32_t> tokens_, grams_;
  int n_orders_;
  float* in_;
  float* out_;
  std::vector<Unit> units_;
  std::int64_t lanes_;
  std::int64_t steps_an_epoch_;
  std::size_t stride_;
  std::vector<Work> works_;
};

}  // namespace vl
