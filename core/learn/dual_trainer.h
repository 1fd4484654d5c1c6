// SPDX-License-Identifier: Apache-2.0
// Two texts that belong together find each other among the others of their batch: the training of
// bag-of-n-gram encoders on pairs, or on pieces of texts and the texts that they are from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "learn/bags.h"

namespace vl {

struct DualOptions {
  std::int64_t dim = 512;
  std::int64_t batch = 256;
  std::int64_t group = 16;  // texts that are alike in a batch
  std::int64_t epochs = 5;
  double rate = 0.1;         // of the first step, falling to 0 in a straight line
  double scale = 10.0;       // of the scores within the softmax
  double power = 0.6;        // documents are divided by their length^power
  double head_share = 0.5;   // how often the head of a text (its title) is the query
  double whole_share = 0.5;  // how often the document keeps what the query took from it
  std::int64_t shortest = 4, longest = 16;  // positions of a piece
  std::uint64_t seed = 0;
};

struct DualLoss {
  double sum = 0.0;
  std::int64_t pairs = 0;
};

// out = x / |x|^power of each text, x the sum of its bag; zero for an empty bag.
void encode_bags(const NgramRows& texts, BagWeight weight, const float* table, std::int64_t dim,
                 double power, float* out, int n_threads);

class DualTrainer {
 public:
  // Text t is its head [begin, heads[t]) and its body [heads[t], end). `items` are the texts to
  // train with; `neighbours` (items, k), may be empty, has for each the places in `items` of texts
  // like it, which then come in the same batch: those are hard to tell apart. `table` (rows, dim)
  // and `squares` (rows) are trained in place; views outlive this.
  DualTrainer(const NgramRows& texts, std::span<const std::int64_t> heads,
              std::span<const std::int64_t> items, std::span<const std::int32_t> neighbours,
              float* table, float* squares, const DualOptions& options);

  std::int64_t n_steps() const { return batches_ * options_.epochs; }
  // Trains the steps [begin, end); any cut gives the same table.
  DualLoss run(std::int64_t begin, std::int64_t end, int n_jobs);
  // The loss of other texts, always of the same pieces; nothing is moved.
  DualLoss evaluate(std::span<const std::int64_t> items, int n_jobs);

 private:
  void shuffle(std::int64_t epoch);
  void draw(std::int64_t text, std::uint32_t stream, Bag& query, Bag& document) const;
  void forward(std::span<const std::int64_t> items, std::uint32_t stream, int n_threads);
  double contrast(std::int64_t m, bool slopes);
  void backward(std::int64_t m, int n_threads);

  NgramRows texts_;
  std::span<const std::int64_t> heads_;
  std::vector<std::int64_t> items_;
  std::span<const std::int32_t> neighbours_;
  float* table_;
  float* squares_;
  DualOptions options_;
  std::int64_t batches_;  // of an epoch
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> order_;
  // Of one batch of m pairs: bags, unit vectors and lengths of the queries, then the documents.
  std::vector<Bag> bags_;
  std::vector<float> units_, lengths_, documents_, scores_, slopes_, turned_, gradients_;
  RowDescent descent_;
};

}  // namespace vl
