// SPDX-License-Identifier: Apache-2.0
// CMOW and its hybrid with CBOW (Mai, Galke, Scherp, "CBOW is not enough", ICLR 2019,
// arXiv:1902.06423): a word is a matrix, and words in a row are the product of their matrices.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/text_parts.h"

namespace vl {

struct MatrixOptions : TextTraining {
  int mean_steps = 0;  // cache lines of a row for the mean; 0: none
  int size = 16;       // of a matrix
  int window = 10;     // words that are multiplied
};

class MatrixTrainer {
 public:
  // A row of `in` and `out` is the part of the mean, then `size` rows of the matrix, each padded
  // with zeros to whole cache lines. Views outlive the trainer.
  MatrixTrainer(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
                float* in, float* out, const MatrixOptions& options);
  ~MatrixTrainer();

  static int steps_of(const MatrixOptions& options);
  std::int64_t n_steps() const { return lanes_.n_steps(); }
  std::int64_t n_texts() const { return planner_.n_texts(); }
  // As in WordTrainer.
  WordLoss run(std::int64_t begin, std::int64_t end, int n_jobs);
  WordLoss evaluate(int n_jobs);
  // texts[i]: the mean of the words of text i, and of the products of its windows.
  void encode(std::int64_t begin, std::int64_t end, float* texts, int n_jobs);

 private:
  struct Work;
  struct Sheet;
  const float* row_of(std::int64_t token) const;
  Sheet sheet_of(Work& work) const;
  WordLoss prepare(const Piece& piece, Work& work) const;
  void multiply(const TextPart& unit, Work& work) const;
  WordLoss score(const Piece& piece, Work& work) const;
  void chain(Work& work) const;
  void collect(Work& work) const;
  void move(Work& work, int first, int last) const;
  void encode_text(std::int64_t text, float* row, Work& work) const;
  PieceWork pieces();

  MatrixOptions options_;
  WordPlanner planner_;
  std::span<const std::int32_t> tokens_;
  float* in_;
  float* out_;
  std::vector<TextPart> units_;
  Lanes lanes_;
  int steps_;                           // cache lines of a row
  int line_steps_;                      // of a row of a matrix
  std::size_t stride_, matrix_, mean_;  // floats of a row, of its matrix, before it
  std::vector<Work> works_;
};

}  // namespace vl
