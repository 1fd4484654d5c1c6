// SPDX-License-Identifier: Apache-2.0
// Skip-gram and CBOW, with words, bags of rows (subwords) or texts as inputs; false words, the tree
// of hierarchical softmax, or both as outputs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "learn/lanes.h"
#include "learn/word_plan.h"

namespace vl {

struct WordOptions {
  int steps = 7;  // cache lines of a row: (dim + 15) / 16
  int window = 5;
  int negative = 5;
  bool tree = false;
  bool cbow = false;
  bool cbow_mean = true;
  bool deterministic = true;  // see Lanes
  double sample = 1e-4;
  double noise_exponent = 0.75;
  double alpha = 0.025;
  double min_alpha = 1e-4;
  std::int64_t epochs = 5;
  std::uint64_t seed = 0;
  // Paragraph vectors: beside the words of a CBOW window (DM) or a skip-gram window, or alone
  // (DBOW). `binary`: alone, and words see a code, 1 where the text's row is above zero; gradients
  // pass the step as if it were the logistic function.
  TextInput text = TextInput::kNone;
  bool binary = false;
  // `infer` goes through a text until this many of its words have been told, `epochs` times at
  // least.
  std::int64_t infer_words = 0;
  // `infer` descends L + infer_ridge / 2 |d|^2 for each word told; not of codes.
  double infer_ridge = 0.0;
};

// Rows that make up the input vector of each word, their mean: [offsets[w], offsets[w + 1]). Empty:
// row w of the input matrix is the vector.
struct WordBags {
  std::span<const std::int64_t> offsets;
  std::span<const std::int32_t> rows;
};

class WordTrainer {
 public:
  // `in`, `out` and `texts` are matrices of `steps` * 16 float32 a row, aligned to 64 bytes,
  // trained in place; all views outlive the trainer. `in` is not read where texts stand alone,
  // `texts` only where texts are inputs.
  WordTrainer(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
              const WordBags& bags, float* in, float* out, float* texts,
              const WordOptions& options);
  ~WordTrainer();

  // Steps of the training, over all epochs: in the ordered mode one batch of pieces each.
  std::int64_t n_steps() const { return lanes_.n_steps(); }
  // Trains the steps [begin, end). In the ordered mode any cut gives the same rows. For one caller
  // at a time.
  WordLoss run(std::int64_t begin, std::int64_t end, int n_jobs);
  // The loss of the rows as they are, see Lanes::evaluate.
  WordLoss evaluate(int n_jobs);

  std::int64_t n_texts() const { return planner_.n_texts(); }
  // Trains the rows of the texts [begin, end) through all epochs and leaves the words alone. A
  // text's row depends on its words and the seed only.
  void infer(std::int64_t begin, std::int64_t end, int n_jobs);

 private:
  struct Work;
  PieceWork pieces();
  void plan(const Piece& piece, Work& work) const;
  void prefetch_bag(std::int32_t word, int first, int last) const;
  void point(Work& work) const;
  void gather(Work& work, int first, int last) const;
  void scatter(Work& work, int first, int last) const;
  void gather_codes(Work& work, int first, int last) const;
  void scatter_codes(Work& work, int first, int last) const;
  void infer_text(std::int64_t text, Work& work) const;
  void score(Work& work, const WindowSpan& window) const;
  void update(Work& work, const WindowSpan& window, int first, int last, float* hidden,
              bool again) const;
  void prefetch(const Work& work, std::size_t window) const;
  void hidden_of(const Work& work, const WindowSpan& window, int first, int last,
                 float* hidden) const;
  void add_loss(const Work& work, const WindowSpan& window, WordLoss& loss) const;
  WordLoss train(const Piece& piece, Work& work) const;
  WordLoss prepare(const Piece& piece, Work& work) const;
  void move(Work& work, int first, int last) const;

  WordOptions options_;
  WordPlanner planner_;
  WordBags bags_;
  float* in_;
  float* out_;
  float* texts_;
  std::size_t ahead_;
  Lanes lanes_;
  std::size_t stride_;
  std::vector<Work> works_;  // of the lanes, or of the threads
};

}  // namespace vl
