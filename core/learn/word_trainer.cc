// SPDX-License-Identifier: Apache-2.0
// A unit of work is a piece of 64 tokens, planned before any row is touched: so rows are fetched
// ahead, and the m inputs and n outputs of a window are one block product (Ji, Satish, Li, Dubey,
// "Parallelizing word2vec in shared and distributed memory", arXiv:1604.04661): the false words are
// drawn once a window.
//
// A step of the ordered mode is a batch of short pieces from places of the corpus that are far from
// each other, since gradients that are computed together must not be many for one word; see
// ordered_steps.h.
#include "learn/word_trainer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/aligned.h"
#include "base/threads.h"
#include "simd/window.h"

namespace vl {
namespace {

// Windows whose rows are fetched ahead; those of a text alone are soon done.
constexpr std::size_t kAhead = 2;
constexpr std::size_t kAheadAlone = 4;
// Free: tokens of a piece, pieces of a step. Ordered: tokens of a piece, most pieces of a step, and
// the least words and pieces an epoch for each of them.
constexpr std::int64_t kFreeTokens = 64;
constexpr std::int64_t kFreeUnits = 64;
constexpr std::int64_t kOrderedTokens = 16;
constexpr std::int64_t kLanes = 32;
constexpr std::int64_t kWordsALane = 256;
constexpr std::int64_t kUnitsALane = 16;
constexpr std::int64_t kWordsAToken = 32;  // fewer words: shorter pieces
constexpr std::int64_t kBagPieces = 4;
// Words that a text tells with the same false words: fewer rows to fetch for each. Four are faster
// still, but cost a tenth of the nDCG on SciFact.
constexpr int kTogether = 2;
// Windows of DM that share false words. (CBOW without texts loses by it: a hundredth of the
// analogies.)
constexpr int kShared = 2;

WindowRules rules_of(const WordOptions& options, const WordBags& bags, std::size_t n_counts) {
  WindowRules rules;
  rules.window = options.window;
  rules.negative = options.negative;
  rules.tree = options.tree;
  rules.by_slot = !bags.offsets.empty() || options.binary;
  rules.merge = !options.cbow;
  rules.text = options.text;
  if (options.text == TextInput::kAlone) rules.together = kTogether;
  if (options.cbow && options.text == TextInput::kBeside) rules.shared = kShared;
  rules.seed = options.seed;
  const auto n_words = static_cast<std::int64_t>(n_counts);
  rules.unit_tokens = kFreeTokens;
  if (options.deterministic) {
    rules.unit_tokens = std::clamp<std::int64_t>(n_words / kWordsAToken, 2, kOrderedTokens);
  }
  // Sums over bags are to be made for many windows.
  if (!bags.offsets.empty() && rules.unit_tokens >= kOrderedTokens) rules.unit_tokens *= kBagPieces;
  return rules;
}

LaneRules lane_rules(const WordOptions& options, const WordBags& bags) {
  LaneRules rules;
  rules.deterministic = options.deterministic;
  rules.free_pieces = kFreeUnits;
  rules.lanes = bags.offsets.empty() ? kLanes : kLanes / kBagPieces;
  rules.words_a_lane = kWordsALane;
  rules.pieces_a_lane = kUnitsALane;
  rules.epochs = options.epochs;
  rules.alpha = options.alpha;
  rules.min_alpha = options.min_alpha;
  return rules;
}

// A step of the ridge's gradient, of all it could move at most.
void shrink(float* row, std::size_t size, float step) {
  const float kept = 1.0f - std::min(step, 1.0f);
  for (std::size_t d = 0; d < size; ++d) row[d] *= kept;
}

}  // namespace

// One piece while it is worked on.
struct WordTrainer::Work {
  WordPlan plan;
  float rate = 0.0f;
  std::vector<float> rates;
  AlignedBuffer<float> gradients;
  AlignedBuffer<float> rows;    // of the slots: as they were, then as they are
  AlignedBuffer<float> hidden;  // CBOW: of the window at hand, before and after
  std::vector<float*> in, out;

  void grow(AlignedBuffer<float>& buffer, std::size_t size) const {
    if (buffer.size() < size) buffer = AlignedBuffer<float>(size + size / 4);
  }
};

WordTrainer::WordTrainer(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
                         const WordBags& bags, float* in, float* out, float* texts,
                         const WordOptions& options)
    : options_(options),
      planner_(tokens, counts, options.sample, options.noise_exponent,
               rules_of(options, bags, counts.size())),
      bags_(bags),
      in_(in),
      out_(out),
      texts_(texts),
      ahead_(options.text == TextInput::kAlone ? kAheadAlone : kAhead),
      lanes_(planner_.n_units(), planner_.n_words(), lane_rules(options, bags)),
      stride_(static_cast<std::size_t>(options.steps) * kRowStep) {}

WordTrainer::~WordTrainer() = default;

void WordTrainer::plan(const Piece& piece, Work& work) const {
  planner_.plan(lanes_.epoch_of(piece.step), piece.number, work.plan);
  work.rate = lanes_.rate_of(piece.step);
  point(work);
}

// Rows and rates of what was planned.
void WordTrainer::point(Work& work) const {
  const WordPlan& plan = work.plan;
  work.rates.resize(std::max<std::size_t>(plan.weights.size(), 1));
  for (std::size_t i = 0; i < plan.weights.size(); ++i) {
    work.rates[i] = work.rate * plan.weights[i];
  }
  work.grow(work.gradients, static_cast<std::size_t>(plan.n_gradients) + kGradientSlack);
  work.in.resize(plan.inputs.size());
  work.out.resize(plan.outputs.size());
  const bool by_slot = !bags_.offsets.empty() || options_.binary;
  float* base = in_;
  if (by_slot) {
    work.grow(work.rows, 2 * plan.slots.size() * stride_ + 1);
    base = work.rows.data() + plan.slots.size() * stride_;
  }
  if (options_.cbow) work.grow(work.hidden, 2 * stride_);
  const auto n_words = static_cast<std::int32_t>(planner_.n_words());
  const bool has_texts = options_.text != TextInput::kNone && !by_slot;
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const std::int32_t row = plan.inputs[i];
    work.in[i] = has_texts && row >= n_words
                     ? texts_ + static_cast<std::size_t>(row - n_words) * stride_
                     : base + static_cast<std::size_t>(row) * stride_;
  }
  for (std::size_t j = 0; j < plan.outputs.size(); ++j) {
    work.out[j] = out_ + static_cast<std::size_t>(plan.outputs[j]) * stride_;
  }
}

void WordTrainer::prefetch_bag(std::int32_t word, int first, int last) const {
  const auto w = static_cast<std::size_t>(word);
  for (std::int64_t k = bags_.offsets[w]; k < bags_.offsets[w + 1]; ++k) {
    const auto row = static_cast<std::size_t>(bags_.rows[static_cast<std::size_t>(k)]);
    const float* data = in_ + row * stride_;
    for (int step = first; step < last; ++step) __builtin_prefetch(data + step * kRowStep, 1);
  }
}

// The vectors of the slots from the rows of their words' bags.
void WordTrainer::gather(Work& work, int first, int last) const {
  if (options_.binary) return gather_codes(work, first, last);
  if (bags_.offsets.empty()) return;
  thread_local std::vector<const float*> rows;
  const WindowKernels& kernels = window_kernels();
  const std::size_t n = work.plan.slots.size();
  float* before = work.rows.data();
  float* after = before + n * stride_;
  for (std::size_t p = 0; p < n; ++p) {
    const auto word = static_cast<std::size_t>(work.plan.slots[p]);
    rows.clear();
    for (std::int64_t k = bags_.offsets[word]; k < bags_.offsets[word + 1]; ++k) {
      const auto row = static_cast<std::size_t>(bags_.rows[static_cast<std::size_t>(k)]);
      rows.push_back(in_ + row * stride_);
    }
    if (p + 1 < n) prefetch_bag(work.plan.slots[p + 1], first, last);
    const auto count = static_cast<int>(rows.size());
    kernels.sum(rows.data(), count, 1.0f / static_cast<float>(count), before + p * stride_, first,
                last);
    std::copy(before + p * stride_ + first * kRowStep, before + p * stride_ + last * kRowStep,
              after + p * stride_ + first * kRowStep);
  }
}

// What the windows added to a slot's vector goes to each row of its bag: their mean then moves as
// the vector did.
void WordTrainer::scatter(Work& work, int first, int last) const {
  if (options_.binary) return scatter_codes(work, first, last);
  if (bags_.offsets.empty()) return;
  thread_local std::vector<float*> rows;
  const WindowKernels& kernels = window_kernels();
  const std::size_t n = work.plan.slots.size();
  const float* before = work.rows.data();
  const float* after = before + n * stride_;
  for (std::size_t p = 0; p < n; ++p) {
    const auto word = static_cast<std::size_t>(work.plan.slots[p]);
    rows.clear();
    for (std::int64_t k = bags_.offsets[word]; k < bags_.offsets[word + 1]; ++k) {
      const auto row = static_cast<std::size_t>(bags_.rows[static_cast<std::size_t>(k)]);
      rows.push_back(in_ + row * stride_);
    }
    kernels.add(rows.data(), static_cast<int>(rows.size()), nullptr, after + p * stride_,
                before + p * stride_, first, last);
  }
}

// The codes of the piece's texts; padding stays zero.
void WordTrainer::gather_codes(Work& work, int first, int last) const {
  const std::size_t n = work.plan.slots.size();
  float* before = work.rows.data();
  for (std::size_t p = 0; p < n; ++p) {
    const float* row = texts_ + static_cast<std::size_t>(work.plan.slots[p]) * stride_;
    float* code = before + p * stride_;
    for (int d = first * kRowStep; d < last * kRowStep; ++d) code[d] = row[d] > 0.0f ? 1.0f : 0.0f;
    std::copy(code + first * kRowStep, code + last * kRowStep,
              code + n * stride_ + first * kRowStep);
  }
}

// What the windows added to a code goes to its row by the slope of the logistic function there.
void WordTrainer::scatter_codes(Work& work, int first, int last) const {
  const std::size_t n = work.plan.slots.size();
  const float* before = work.rows.data();
  for (std::size_t p = 0; p < n; ++p) {
    float* row = texts_ + static_cast<std::size_t>(work.plan.slots[p]) * stride_;
    const float* code = before + p * stride_;
    const float* after = code + n * stride_;
    for (int d = first * kRowStep; d < last * kRowStep; ++d) {
      const float s = 1.0f / (1.0f + std::exp(-row[d]));
      row[d] += s * (1.0f - s) * (after[d] - code[d]);
    }
  }
}

void WordTrainer::hidden_of(const Work& work, const WindowSpan& window, int first, int last,
                            float* hidden) const {
  const float scale = options_.cbow_mean ? 1.0f / static_cast<float>(window.m) : 1.0f;
  window_kernels().sum(work.in.data() + window.in, window.m, scale, hidden, first, last);
}

void WordTrainer::score(Work& work, const WindowSpan& window) const {
  const WindowKernels& kernels = window_kernels();
  const float* labels = work.plan.labels.empty() ? nullptr : work.plan.labels.data() + window.out;
  float* gradients = work.gradients.data() + window.gradients;
  const float* const* out = work.out.data() + window.out;
  if (options_.cbow) {
    float* hidden = work.hidden.data();
    hidden_of(work, window, 0, options_.steps, hidden);
    kernels.scores(&hidden, 1, out, window.n, labels, &work.rate, options_.steps, gradients);
    return;
  }
  kernels.scores(work.in.data() + window.in, window.m, out, window.n, labels,
                 work.rates.data() + window.in, options_.steps, gradients);
  if (window.truths == 1) return;
  for (int j = window.truths; j < window.n; ++j) {
    gradients[j] *= static_cast<float>(window.truths);
  }
}

void WordTrainer::update(Work& work, const WindowSpan& window, int first, int last, float* hidden,
                         bool again) const {
  const WindowKernels& kernels = window_kernels();
  const float* gradients = work.gradients.data() + window.gradients;
  float* const* out = work.out.data() + window.out;
  if (!options_.cbow) {
    kernels.update(work.in.data() + window.in, window.m, out, window.n, gradients, first, last);
    return;
  }
  if (again) hidden_of(work, window, first, last, hidden);
  float* after = hidden + stride_;
  std::copy(hidden + first * kRowStep, hidden + last * kRowStep, after + first * kRowStep);
  kernels.update(&after, 1, out, window.n, gradients, first, last);
  // The mean's gradient goes to every input whole (word2vec.c), the sum's in equal shares.
  float* const* in = work.in.data() + window.in;
  if (options_.cbow_mean) {
    kernels.add(in, window.m, nullptr, after, hidden, first, last);
  } else {
    thread_local std::vector<float> shares;
    shares.assign(static_cast<std::size_t>(window.m), 1.0f / static_cast<float>(window.m));
    kernels.add(in, window.m, shares.data(), after, hidden, first, last);
  }
}

void WordTrainer::prefetch(const Work& work, std::size_t window) const {
  if (window >= work.plan.windows.size()) return;
  const WindowSpan& span = work.plan.windows[window];
  const auto fetch = [this](const float* row) {
    for (std::size_t d = 0; d < stride_; d += kRowStep) __builtin_prefetch(row + d, 1);
  };
  for (std::int32_t j = span.out; j < span.out + span.n; ++j) {
    fetch(work.out[static_cast<std::size_t>(j)]);
  }
  if (!bags_.offsets.empty() || span.m == 0) return;
  fetch(work.in[static_cast<std::size_t>(span.in + span.m - 1)]);  // the one that is new
}

// -log sigmoid of the true and of the false pairs: sigmoid's error is gradient / rate.
void WordTrainer::add_loss(const Work& work, const WindowSpan& window, WordLoss& loss) const {
  const int m = options_.cbow ? 1 : window.m;
  for (int i = 0; i < m; ++i) {
    const float rate =
        options_.cbow
            ? work.rate
            : work.rates[static_cast<std::size_t>(window.in) + static_cast<std::size_t>(i)];
    const float* row = work.gradients.data() + window.gradients + i * window.n;
    for (int j = 0; j < window.n; ++j) {
      const double weight = j < window.truths ? 1.0 : window.truths;
      const double error = std::abs(static_cast<double>(row[j] / rate)) / weight;
      loss.sum -= std::log(std::max(1e-7, 1.0 - error)) * weight * (rate / work.rate);
    }
    loss.pairs += std::lround(rate / work.rate) * window.truths;
  }
}

WordLoss WordTrainer::train(const Piece& piece, Work& work) const {
  WordLoss loss;
  plan(piece, work);
  gather(work, 0, options_.steps);
  for (std::size_t w = 0; w < ahead_; ++w) prefetch(work, w);
  for (std::size_t w = 0; w < work.plan.windows.size(); ++w) {
    prefetch(work, w + ahead_);
    const WindowSpan& window = work.plan.windows[w];
    score(work, window);
    if (piece.told) add_loss(work, window, loss);
    update(work, window, 0, options_.steps, work.hidden.data(), false);
  }
  scatter(work, 0, options_.steps);
  return loss;
}

WordLoss WordTrainer::prepare(const Piece& piece, Work& work) const {
  WordLoss loss;
  plan(piece, work);
  gather(work, 0, options_.steps);
  for (std::size_t w = 0; w < ahead_; ++w) prefetch(work, w);
  for (std::size_t w = 0; w < work.plan.windows.size(); ++w) {
    prefetch(work, w + ahead_);
    score(work, work.plan.windows[w]);
    if (piece.told) add_loss(work, work.plan.windows[w], loss);
  }
  return loss;
}

void WordTrainer::move(Work& work, int first, int last) const {
  thread_local AlignedBuffer<float> hidden;
  if (hidden.size() < 2 * stride_) hidden = AlignedBuffer<float>(2 * stride_);
  gather(work, first, last);
  for (const WindowSpan& window : work.plan.windows) {
    update(work, window, first, last, hidden.data(), true);
  }
  scatter(work, first, last);
}

PieceWork WordTrainer::pieces() {
  return {
      options_.steps,
      [this](std::size_t n) { works_.resize(std::max(works_.size(), n)); },
      [this](const Piece& piece) { return train(piece, works_[piece.at]); },
      [this](const Piece& piece) { return prepare(piece, works_[piece.at]); },
      [this](std::size_t at, int first, int last) { move(works_[at], first, last); },
  };
}

WordLoss WordTrainer::run(std::int64_t begin, std::int64_t end, int n_jobs) {
  return lanes_.run(begin, end, n_jobs, pieces());
}

WordLoss WordTrainer::evaluate(int n_jobs) { return lanes_.evaluate(n_jobs, pieces()); }

void WordTrainer::infer_text(std::int64_t text, Work& work) const {
  const WindowKernels& kernels = window_kernels();
  const std::int64_t begin = planner_.text_begin(text);
  const std::int64_t end = planner_.text_end(text);
  const std::int64_t length = std::max<std::int64_t>(end - begin, 1);
  const std::int64_t epochs =
      std::max(options_.epochs, (options_.infer_words + length - 1) / length);
  const double fall = (options_.alpha - options_.min_alpha) / static_cast<double>(epochs);
  const float ridge = options_.binary ? 0.0f : static_cast<float>(options_.infer_ridge);
  float* row = texts_ + static_cast<std::size_t>(text) * stride_;
  for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
    for (std::int64_t t = begin; t < end; t += kFreeTokens) {
      const double done = static_cast<double>(t - begin) / static_cast<double>(end - begin);
      work.rate = static_cast<float>(options_.alpha - fall * (static_cast<double>(epoch) + done));
      planner_.plan_text(epoch, text, t, std::min(end, t + kFreeTokens), begin, work.plan);
      point(work);
      gather(work, 0, options_.steps);
      for (std::size_t w = 0; w < ahead_; ++w) prefetch(work, w);
      for (std::size_t w = 0; w < work.plan.windows.size(); ++w) {
        prefetch(work, w + ahead_);
        const WindowSpan& window = work.plan.windows[w];
        score(work, window);
        float* moved = options_.binary ? work.in[static_cast<std::size_t>(window.in)] : row;
        if (ridge > 0.0f)
          shrink(row, stride_, ridge * work.rate * static_cast<float>(window.truths));
        kernels.pull(moved, work.out.data() + window.out, window.n,
                     work.gradients.data() + window.gradients, 0, options_.steps);
      }
      scatter(work, 0, options_.steps);
    }
    poll_interrupt();
  }
}

void WordTrainer::infer(std::int64_t begin, std::int64_t end, int n_jobs) {
  const int threads = resolve_jobs(n_jobs);
  works_.resize(std::max(works_.size(), static_cast<std::size_t>(threads)));
  parallel_for(end - begin, threads, [&](std::int64_t task, int worker) {
    infer_text(begin + task, works_[static_cast<std::size_t>(worker)]);
  });
}

}  // namespace vl
