// SPDX-License-Identifier: Apache-2.0
// With R the rows of a text (its words, its n-grams), s their sum, and R_t those that touch the
// word t:
//
//     h_t = (s - sum R_t) / |R \ R_t|       the mean of what is left without t
//     e_t = sum_j g_tj y_j / |R \ R_t|      its gradient, g = rate (label - logistic(h . y))
//     x_r += sum_t e_t - sum_{t touches r} e_t
//
// So a text of L words costs O(L) rows and not O(L^2), as it does when each word's context is
// summed anew. Up to 64 words of a text are told together, from the rows as they are.
#include "learn/sentence_trainer.h"

#include <algorithm>
#include <cmath>

#include "base/aligned.h"
#include "simd/window.h"

namespace vl {
namespace {

constexpr std::int64_t kTargets = 64;
// Longer texts are taken in parts that do not see each other.
constexpr std::int64_t kLongest = 1024;
constexpr std::int64_t kWordsALane = 512;

}  // namespace

// One unit while it is worked on.
struct SentenceTrainer::Work {
  const TextPart* unit = nullptr;
  WordPlan plan;
  float rate = 0.0f;
  std::vector<float*> rows, out;
  AlignedBuffer<float> gradients;
  AlignedBuffer<float> sums;  // s, zeros, h before, h after, sum of e; then e of each word
  float* sum(std::size_t i, std::size_t stride) { return sums.data() + i * stride; }
};

namespace {
constexpr std::size_t kSum = 0, kZero = 1, kBefore = 2, kAfter = 3, kTotal = 4, kErrors = 5;
constexpr float kMinus = -1.0f;
}  // namespace

SentenceTrainer::SentenceTrainer(std::span<const std::int32_t> tokens,
                                 std::span<const std::int64_t> counts,
                                 std::span<const std::int32_t> grams, int n_orders, float* in,
                                 float* out, const SentenceOptions& options)
    : options_(options),
      planner_(tokens, counts, options.sample, options.noise_exponent, text_rules(options)),
      tokens_(tokens),
      grams_(grams),
      n_orders_(n_orders),
      in_(in),
      out_(out),
      units_(text_parts(planner_, kTargets, false)),
      lanes_(static_cast<std::int64_t>(units_.size()), planner_.n_words(),
             text_lanes(options, kWordsALane)),
      stride_(static_cast<std::size_t>(options.steps) * kRowStep) {}

SentenceTrainer::~SentenceTrainer() = default;

// The part of the text that a unit sees: all of it unless it is very long.
void SentenceTrainer::list_rows(const TextPart& unit, Work& work) const {
  const std::int64_t first = planner_.text_begin(unit.text);
  const std::int64_t from = first + (unit.begin - first) / kLongest * kLongest;
  const std::int64_t to = std::min(planner_.text_end(unit.text), from + kLongest);
  work.rows.clear();
  for (std::int64_t t = from; t < to; ++t) {
    const auto token = static_cast<std::size_t>(t);
    work.rows.push_back(in_ + static_cast<std::size_t>(tokens_[token]) * stride_);
    for (int k = 0; k < n_orders_; ++k) {
      const std::int32_t row =
          grams_[token * static_cast<std::size_t>(n_orders_) + static_cast<std::size_t>(k)];
      if (row < 0 || t + k + 1 >= to) continue;
      work.rows.push_back(in_ + static_cast<std::size_t>(row) * stride_);
    }
  }
}

// Calls use(row) for the word at `token` and each n-gram that holds it.
template <class Use>
void SentenceTrainer::rows_with(const TextPart& unit, std::int64_t token, const Use& use) const {
  const std::int64_t first = planner_.text_begin(unit.text);
  const std::int64_t from = first + (unit.begin - first) / kLongest * kLongest;
  const std::int64_t to = std::min(planner_.text_end(unit.text), from + kLongest);
  use(in_ + static_cast<std::size_t>(tokens_[static_cast<std::size_t>(token)]) * stride_);
  for (int k = 0; k < n_orders_; ++k) {
    for (std::int64_t t = std::max(from, token - k - 1); t <= token && t + k + 1 < to; ++t) {
      const std::int32_t row =
          grams_[static_cast<std::size_t>(t) * static_cast<std::size_t>(n_orders_) +
                 static_cast<std::size_t>(k)];
      if (row >= 0) use(in_ + static_cast<std::size_t>(row) * stride_);
    }
  }
}

void SentenceTrainer::prepare(const Piece& piece, Work& work) const {
  work.unit = &units_[static_cast<std::size_t>(piece.number)];
  const TextPart& found = *work.unit;
  planner_.plan_text(lanes_.epoch_of(piece.step), found.text, found.begin, found.end, 0, work.plan);
  work.rate = lanes_.rate_of(piece.step);
  list_rows(found, work);
  const auto need = static_cast<std::size_t>(work.plan.n_gradients) + kGradientSlack;
  if (work.gradients.size() < need) work.gradients = AlignedBuffer<float>(need + need / 4);
  const std::size_t n_sums = kErrors + static_cast<std::size_t>(kTargets);
  if (work.sums.size() < n_sums * stride_) {
    work.sums = AlignedBuffer<float>(n_sums * stride_);
    std::fill(work.sums.data(), work.sums.data() + n_sums * stride_, 0.0f);
  }
  work.out.resize(work.plan.outputs.size());
  for (std::size_t j = 0; j < work.out.size(); ++j) {
    work.out[j] = out_ + static_cast<std::size_t>(work.plan.outputs[j]) * stride_;
  }
}

// The mean of the rows without those that hold the window's word; returns how many they are, 0
// where nothing is left.
int SentenceTrainer::hidden_of(Work& work, const WindowSpan& window, int first, int last,
                               float* hidden) const {
  const WindowKernels& kernels = window_kernels();
  const float* sum = work.sum(kSum, stride_);
  std::copy(sum + first * kRowStep, sum + last * kRowStep, hidden + first * kRowStep);
  int left = static_cast<int>(work.rows.size());
  rows_with(*work.unit, window.token, [&](const float* row) {
    kernels.add(&hidden, 1, &kMinus, row, work.sum(kZero, stride_), first, last);
    --left;
  });
  if (left > 0) kernels.sum(&hidden, 1, 1.0f / static_cast<float>(left), hidden, first, last);
  return left;
}

WordLoss SentenceTrainer::score(const Piece& piece, Work& work) const {
  WordLoss loss;
  const WindowKernels& kernels = window_kernels();
  kernels.sum(work.rows.data(), static_cast<int>(work.rows.size()), 1.0f, work.sum(kSum, stride_),
              0, options_.steps);
  for (const WindowSpan& window : work.plan.windows) {
    float* hidden = work.sum(kBefore, stride_);
    float* gradients = work.gradients.data() + window.gradients;
    if (hidden_of(work, window, 0, options_.steps, hidden) == 0) {
      std::fill(gradients, gradients + window.n, 0.0f);
      continue;
    }
    kernels.scores(&hidden, 1, work.out.data() + window.out, window.n, nullptr, &work.rate,
                   options_.steps, gradients);
    if (piece.told) loss += window_loss(gradients, window.n, work.rate);
  }
  return loss;
}

void SentenceTrainer::move(Work& work, int first, int last) const {
  const WindowKernels& kernels = window_kernels();
  const float* zero = work.sum(kZero, stride_);
  float* before = work.sum(kBefore, stride_);
  float* after = work.sum(kAfter, stride_);
  float* total = work.sum(kTotal, stride_);
  std::fill(total + first * kRowStep, total + last * kRowStep, 0.0f);
  std::size_t w = 0;
  for (const WindowSpan& window : work.plan.windows) {
    float* error = work.sum(kErrors + w++, stride_);
    std::fill(error + first * kRowStep, error + last * kRowStep, 0.0f);
    const int left = hidden_of(work, window, first, last, before);
    if (left == 0) continue;
    std::copy(before + first * kRowStep, before + last * kRowStep, after + first * kRowStep);
    kernels.update(&after, 1, work.out.data() + window.out, window.n,
                   work.gradients.data() + window.gradients, first, last);
    const float share = 1.0f / static_cast<float>(left);
    kernels.add(&error, 1, &share, after, before, first, last);
    kernels.add(&total, 1, nullptr, error, zero, first, last);
  }
  kernels.add(work.rows.data(), static_cast<int>(work.rows.size()), nullptr, total, zero, first,
              last);
  w = 0;
  for (const WindowSpan& window : work.plan.windows) {
    const float* error = work.sum(kErrors + w++, stride_);
    rows_with(*work.unit, window.token,
              [&](float* row) { kernels.add(&row, 1, &kMinus, error, zero, first, last); });
  }
}

PieceWork SentenceTrainer::pieces() {
  const auto gradients = [this](const Piece& piece) {
    prepare(piece, works_[piece.at]);
    return score(piece, works_[piece.at]);
  };
  return {
      options_.steps,
      [this](std::size_t n) { works_.resize(std::max(works_.size(), n)); },
      [this, gradients](const Piece& piece) {
        const WordLoss loss = gradients(piece);
        move(works_[piece.at], 0, options_.steps);
        return loss;
      },
      gradients,
      [this](std::size_t at, int first, int last) { move(works_[at], first, last); },
  };
}

WordLoss SentenceTrainer::run(std::int64_t begin, std::int64_t end, int n_jobs) {
  return lanes_.run(begin, end, n_jobs, pieces());
}

WordLoss SentenceTrainer::evaluate(int n_jobs) { return lanes_.evaluate(n_jobs, pieces()); }

}  // namespace vl
