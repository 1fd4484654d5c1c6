// SPDX-License-Identifier: Apache-2.0
// Texts as bags of rows of a table: their weighted sums, and one step of descent of the rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vl {

// The n-grams of texts as rows of a table. `rows` is (positions, sizes): entry s of position p is
// the row of the n-gram of sizes[s] tokens that begins at p, or -1 where it has none.
struct NgramRows {
  std::span<const std::int32_t> rows;
  std::span<const std::int64_t> offsets;  // text t has the positions [offsets[t], offsets[t + 1])
  std::span<const std::int64_t> sizes;

  std::int64_t n_texts() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t begin(std::int64_t text) const { return offsets[static_cast<std::size_t>(text)]; }
  std::int64_t end(std::int64_t text) const { return offsets[static_cast<std::size_t>(text) + 1]; }
};

enum class BagWeight : std::uint8_t {
  kLog,   // 1 + log(times)
  kMean,  // times / n-grams
};

// Distinct rows, rising, each with its weight.
struct Bag {
  std::vector<std::int32_t> rows;
  std::vector<float> weights;

  void clear() { rows.clear(); }
  // Adds the n-grams that lie within the positions [begin, end).
  void add(const NgramRows& ngrams, std::int64_t begin, std::int64_t end);
  // To be called once, after the last `add`.
  void weigh(BagWeight kind);
};

// sum = sum over the rows of a bag of weight * row; zero for an empty bag. In the order of the
// rows.
void gather(const float* table, std::int64_t dim, const Bag& bag, float* sum);

// AdaGrad with one step size a row (Duchi, Hazan, Singer, JMLR 2011): of all rows that some bag
// names,
//     g = sum over bags of weight * gradient of the bag      squares += |g|^2
//     row -= rate * g / sqrt(squares)
// Each row is moved by one thread, its bags in their order: the same bits at any number of threads.
class RowDescent {
 public:
  void step(std::span<const Bag> bags, const float* gradients, std::int64_t dim, float rate,
            float* table, float* squares, int n_threads);

 private:
  struct Entry {
    std::int32_t row, bag;
    float weight;
  };
  std::vector<Entry> entries_;
  std::vector<std::vector<float>> sums_;  // of the threads
};

}  // namespace vl
