// SPDX-License-Identifier: Apache-2.0
// A linear classifier over the mean of a text's n-gram rows, both trained together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/bags.h"

namespace vl {

struct ClassifierOptions {
  std::int64_t dim = 16;
  std::int64_t n_classes = 2;
  std::int64_t batch = 32;
  std::int64_t epochs = 10;
  double rate = 0.5;  // of the first step, falling to 0 in a straight line
  std::uint64_t seed = 0;
};

struct ClassifierLoss {
  double sum = 0.0;  // of -log p(label)
  std::int64_t correct = 0;
  std::int64_t texts = 0;
};

class BagClassifier {
 public:
  // `labels` has one class a text of `texts`. `table` (rows, dim), `squares` (rows), `head`
  // (n_classes, dim + 1; the last column is the bias) and `head_squares` (n_classes) are trained in
  // place; views outlive this.
  BagClassifier(const NgramRows& texts, std::span<const std::int32_t> labels,
                std::span<const std::int64_t> items, float* table, float* squares, float* head,
                float* head_squares, const ClassifierOptions& options);

  std::int64_t n_steps() const { return batches_ * options_.epochs; }
  // Trains the steps [begin, end); any cut gives the same numbers.
  ClassifierLoss run(std::int64_t begin, std::int64_t end, int n_jobs);
  // The loss of other texts; nothing is moved.
  ClassifierLoss evaluate(std::span<const std::int64_t> items, int n_jobs);

 private:
  void shuffle(std::int64_t epoch);
  ClassifierLoss batch(std::span<const std::int64_t> items, bool slopes, int n_threads);
  void move_head(std::int64_t m, float rate);

  NgramRows texts_;
  std::span<const std::int32_t> labels_;
  std::vector<std::int64_t> items_;
  float *table_, *squares_, *head_, *head_squares_;
  ClassifierOptions options_;
  std::int64_t batches_;  // of an epoch
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
  std::vector<Bag> bags_;
  std::vector<float> means_, slopes_, gradients_, moved_;
  std::vector<double> losses_;
  std::vector<unsigned char> hits_;
  RowDescent descent_;
};

}  // namespace vl
