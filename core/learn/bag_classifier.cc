// SPDX-License-Identifier: Apache-2.0
//   x = mean of the rows of a text's n-grams,  p = softmax(W x + b),  L = -log p(label)
//   dL/dW_c = (p_c - [c = label]) x      dL/dx = sum_c (p_c - [c = label]) W_c
// Minibatches; W and the rows move by AdaGrad with one step size a row. Scores and softmax in
// float64. Each text, each class and each row belongs to one task: the same bits at any number of
// threads. (Joulin, Grave, Bojanowski, Mikolov, "Bag of tricks for efficient text classification",
// EACL 2017, arXiv:1607.01759, which updates text by text and without AdaGrad.)
#include "learn/bag_classifier.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "base/threads.h"

namespace vl {
namespace {

constexpr std::uint32_t kOrderStream = 0x636c6173u;

}  // namespace

BagClassifier::BagClassifier(const NgramRows& texts, std::span<const std::int32_t> labels,
                             std::span<const std::int64_t> items, float* table, float* squares,
                             float* head, float* head_squares, const ClassifierOptions& options)
    : texts_(texts),
      labels_(labels),
      items_(items.begin(), items.end()),
      table_(table),
      squares_(squares),
      head_(head),
      head_squares_(head_squares),
      options_(options),
      batches_(std::max<std::int64_t>(1, static_cast<std::int64_t>(items.size()) / options.batch)) {
}

void BagClassifier::shuffle(std::int64_t epoch) {
  if (epoch == epoch_) return;
  order_ = items_;
  Random random(options_.seed, kOrderStream, static_cast<std::uint64_t>(epoch));
  for (std::size_t left = order_.size(); left > 1; --left) {
    std::swap(order_[left - 1], order_[random.below64(left)]);
  }
  epoch_ = epoch;
}

ClassifierLoss BagClassifier::batch(std::span<const std::int64_t> items, bool slopes,
                                    int n_threads) {
  const std::size_t size = items.size();
  const auto dim = static_cast<std::size_t>(options_.dim);
  const auto n_classes = static_cast<std::size_t>(options_.n_classes);
  bags_.resize(size);
  means_.resize(size * dim);
  slopes_.resize(size * n_classes);
  gradients_.assign(size * dim, 0.0f);
  losses_.resize(size);
  hits_.resize(size);
  parallel_for(static_cast<std::int64_t>(size), n_threads, [&](std::int64_t task, int) {
    const auto i = static_cast<std::size_t>(task);
    bags_[i].clear();
    bags_[i].add(texts_, texts_.begin(items[i]), texts_.end(items[i]));
    bags_[i].weigh(BagWeight::kMean);
    float* x = means_.data() + i * dim;
    gather(table_, options_.dim, bags_[i], x);
    std::vector<double> scores(n_classes);
    for (std::size_t c = 0; c < n_classes; ++c) {
      const float* w = head_ + c * (dim + 1);
      scores[c] = w[dim];
      for (std::size_t d = 0; d < dim; ++d) scores[c] += static_cast<double>(w[d]) * x[d];
    }
    const double most = *std::max_element(scores.begin(), scores.end());
    const auto label = static_cast<std::size_t>(labels_[static_cast<std::size_t>(items[i])]);
    hits_[i] = scores[label] == most;
    double sum = 0.0;
    const double own = scores[label] - most;
    for (double& score : scores) sum += score = std::exp(score - most);
    losses_[i] = std::log(sum) - own;
    if (!slopes) return;
    float* g = gradients_.data() + i * dim;
    for (std::size_t c = 0; c < n_classes; ++c) {
      const auto slope = static_cast<float>(scores[c] / sum - (c == label ? 1.0 : 0.0));
      slopes_[i * n_classes + c] = slope;
      const float* w = head_ + c * (dim + 1);
      for (std::size_t d = 0; d < dim; ++d) g[d] += slope * w[d];
    }
  });
  ClassifierLoss loss;
  for (std::size_t i = 0; i < size; ++i) {
    loss.sum += losses_[i];
    loss.correct += hits_[i];
  }
  loss.texts = static_cast<std::int64_t>(size);
  return loss;
}

void BagClassifier::move_head(std::int64_t m, float rate) {
  const auto dim = static_cast<std::size_t>(options_.dim);
  const auto n_classes = static_cast<std::size_t>(options_.n_classes);
  moved_.resize(dim + 1);
  for (std::size_t c = 0; c < n_classes; ++c) {
    std::fill(moved_.begin(), moved_.end(), 0.0f);
    for (std::size_t i = 0; i < static_cast<std::size_t>(m); ++i) {
      const float slope = slopes_[i * n_classes + c];
      const float* x = means_.data() + i * dim;
      for (std::size_t d = 0; d < dim; ++d) moved_[d] += slope * x[d];
      moved_[dim] += slope;
    }
    float length = 0.0f;
    for (const float value : moved_) length += value * value;
    if (length == 0.0f) continue;
    head_squares_[c] += length;
    const float step = rate / std::sqrt(head_squares_[c]);
    for (std::size_t d = 0; d <= dim; ++d) head_[c * (dim + 1) + d] -= step * moved_[d];
  }
}

ClassifierLoss BagClassifier::run(std::int64_t begin, std::int64_t end, int n_jobs) {
  const int n_threads = resolve_jobs(n_jobs);
  const auto n = static_cast<std::int64_t>(items_.size());
  ClassifierLoss loss;
  for (std::int64_t step = begin; step < end; ++step) {
    const std::int64_t at = step % batches_;
    shuffle(step / batches_);
    const std::int64_t from = at * n / batches_, to = (at + 1) * n / batches_;
    const ClassifierLoss part =
        batch({order_.data() + from, static_cast<std::size_t>(to - from)}, true, n_threads);
    loss.sum += part.sum;
    loss.correct += part.correct;
    loss.texts += part.texts;
    const double left = 1.0 - static_cast<double>(step) / static_cast<double>(n_steps());
    const auto rate = static_cast<float>(options_.rate * left);
    move_head(to - from, rate);
    descent_.step({bags_.data(), static_cast<std::size_t>(to - from)}, gradients_.data(),
                  options_.dim, rate, table_, squares_, n_threads);
  }
  return loss;
}

ClassifierLoss BagClassifier::evaluate(std::span<const std::int64_t> items, int n_jobs) {
  constexpr std::size_t kTexts = 1024;
  const int n_threads = resolve_jobs(n_jobs);
  ClassifierLoss loss;
  for (std::size_t from = 0; from < items.size(); from += kTexts) {
    const ClassifierLoss part =
        batch(items.subspan(from, std::min(kTexts, items.size() - from)), false, n_threads);
    loss.sum += part.sum;
    loss.correct += part.correct;
    loss.texts += part.texts;
  }
  return loss;
}

}  // namespace vl
