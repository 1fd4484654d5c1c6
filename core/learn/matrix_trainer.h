// SPDX-License-Identifier: Apache-2.0
// CMOW and its hybrid with CBOW (Mai, Galke, Scherp, "CBOW is not enough", ICLR 2019,
// arXiv:1902.06423): a word is a matrix, and words in a row are the product of their matrices.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/word_plan.h"
#include "learn/word_trainer.h"

namespace vl {

struct MatrixOptions {
  int mean_steps = 0;  // cache lines of a row for the mean; 0: none
  int size = 16;       // of a matrix
  int window = 10;     // words that are multiplied
  int negative = 5;
  bool deterministic = true;
  double sample = 1e-4;
  double noise_exponent = 0.75;
  double alpha = 0.025;
  double min_alpha = 1e-4;
  std::int64_t epochs = 5;
  std::uint64_t seed = 0;
};

class MatrixTrainer {
 public:
  // A row of `in` and `out` is the part of the mean, then `size` rows of the matrix, each padded
  // with zeros to whole cache lines. Views outlive the trainer.
  MatrixTrainer(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
                float* in, float* out, const MatrixOptions& options);
  ~MatrixTrainer();

  static int steps_of(const MatrixOptions& options);
  std::int64_t n_steps() const { return steps_an_epoch_ * options_.epochs; }
  std::int64_t n_texts() const { return planner_.n_texts(); }
  // As WordTrainer::run.
  WordLoss run(std::int64_t begin, std::int64_t end, int n_jobs);
  // texts[i]: the mean of the words of text i, and of the products of its windows.
  void encode(std::int64_t begin, std::int64_t end, float* texts, int n_jobs);

 private:
  struct Work;
  struct Sheet;
  // Words of one text that are multiplied.
  struct Unit {
    std::int32_t text;
    std::int64_t begin, end;
  };
  double rate_of(std::int64_t step) const;
  const float* row_of(std::int64_t token) const;
  Sheet sheet_of(Work& work) const;
  void prepare(std::int64_t step, std::int64_t unit, Work& work, WordLoss& loss) const;
  void multiply(const Unit& unit, Work& work) const;
  void score(std::int64_t step, Work& work, WordLoss& loss) const;
  void chain(Work& work) const;
  void collect(Work& work) const;
  void move(Work& work, int first, int last) const;
  void encode_text(std::int64_t text, float* row, Work& work) const;
  WordLoss run_free(std::int64_t begin, std::int64_t end, int n_jobs);
  WordLoss run_ordered(std::int64_t begin, std::int64_t end, int n_jobs);

  MatrixOptions options_;
  WordPlanner planner_;
  std::span<const std::int32_t> tokens_;
  float* in_;
  float* out_;
  std::vector<Unit> units_;
  std::int64_t lanes_;
  std::int64_t steps_an_epoch_;
  int steps_;                           // cache lines of a row
  int line_steps_;                      // of a row of a matrix
  std::size_t stride_, matrix_, mean_;  // floats of a row, of its matrix, before it
  std::vector<Work> works_;
};

}  // namespace vl
