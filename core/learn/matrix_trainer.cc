// SPDX-License-Identifier: Apache-2.0
// A window of s words is multiplied from both ends, so that each of its words is told from all the
// others for three products and not for s - 2:
//
//     P_0 = I, P_{p+1} = P_p W_p         S_s = I, S_p = W_p S_{p+1}
//     h_t = [ (sum x - x_t) / (s - 1) ;  P_t S_{t+1} ]            without the word t
//     e_t = sum_j g_tj y_j = [ m_t ; G_t ],  g = rate (label - logistic(h . y))
//
// and backwards, with dP_t = G_t S_{t+1}^T and dS_{t+1} = P_t^T G_t to begin with,
//
//     dW_p = P_p^T dP_{p+1} + dS_p S_{p+1}^T,   dP_p += dP_{p+1} W_p^T,   dS_{p+1} += W_p^T dS_p
//
// Products are made row by row by the kernel `pull`: c_i += sum_k a_ik b_k.
#include "learn/matrix_trainer.h"

#include <algorithm>
#include <cmath>

#include "base/aligned.h"
#include "base/threads.h"
#include "simd/window.h"

namespace vl {
namespace {

constexpr std::int64_t kWordsALane = 256;
// A matrix moves by at most this length in one window: products of many matrices have gradients
// that now and then are huge.
constexpr float kLongestMove = 0.1f;

}  // namespace

// One window while it is worked on: matrices by place, then rows by place.
struct MatrixTrainer::Work {
  const TextPart* unit = nullptr;
  WordPlan plan;
  float rate = 0.0f;
  int n = 0;  // words
  std::vector<float*> out;
  AlignedBuffer<float> matrices, rows, gradients;
  std::vector<const float*> lines;
};

namespace {

// Which matrices a window keeps for each of its places.
enum Kind { kP, kPT, kS, kST, kWT, kDP, kDS, kDW, kKinds };
// Rows of a window beside a hidden row and a change for each place.
enum Row { kSum, kTotal, kError, kRows };

}  // namespace

int MatrixTrainer::steps_of(const MatrixOptions& options) {
  return options.mean_steps + options.size * ((options.size + kRowStep - 1) / kRowStep);
}

MatrixTrainer::MatrixTrainer(std::span<const std::int32_t> tokens,
                             std::span<const std::int64_t> counts, float* in, float* out,
                             const MatrixOptions& options)
    : options_(options),
      planner_(tokens, counts, options.sample, options.noise_exponent, text_rules(options)),
      tokens_(tokens),
      in_(in),
      out_(out),
      units_(text_parts(planner_, options.window, true)),
      lanes_(static_cast<std::int64_t>(units_.size()), planner_.n_words(),
             text_lanes(options, kWordsALane)),
      steps_(steps_of(options)),
      line_steps_((options.size + kRowStep - 1) / kRowStep),
      stride_(static_cast<std::size_t>(steps_) * kRowStep),
      matrix_(static_cast<std::size_t>(options.size * line_steps_) * kRowStep),
      mean_(static_cast<std::size_t>(options.mean_steps) * kRowStep) {}

MatrixTrainer::~MatrixTrainer() = default;

const float* MatrixTrainer::row_of(std::int64_t token) const {
  return in_ + static_cast<std::size_t>(tokens_[static_cast<std::size_t>(token)]) * stride_;
}

// The places of a window's matrices and rows, and products of them.
struct MatrixTrainer::Sheet {
  float* matrices;
  float* rows;
  std::size_t matrix, stride;
  int size, line_steps;
  std::vector<const float*>& lines;

  // NOLINTBEGIN(clang-analyzer-core.NullPointerArithm): `sheet_of` allocates before it hands out
  float* at(Kind kind, int place) const {
    return matrices + (static_cast<std::size_t>(place) * kKinds + kind) * matrix;
  }
  float* row(int k) const { return rows + static_cast<std::size_t>(k) * stride; }
  // NOLINTEND(clang-analyzer-core.NullPointerArithm)
  float* hidden(int place) const { return row(kRows + 2 * place); }
  float* change(int place) const { return row(kRows + 2 * place + 1); }
  int width() const { return line_steps * kRowStep; }

  // c += a b
  void add_product(const float* a, const float* b, float* c) const {
    lines.resize(static_cast<std::size_t>(size));
    for (int k = 0; k < size; ++k) lines[static_cast<std::size_t>(k)] = b + k * width();
    const WindowKernels& kernels = window_kernels();
    for (int i = 0; i < size; ++i) {
      kernels.pull(c + i * width(), lines.data(), size, a + i * width(), 0, line_steps);
    }
  }
  void clear(float* c) const { std::fill(c, c + matrix, 0.0f); }
  void identity(float* c) const {
    clear(c);
    for (int i = 0; i < size; ++i) c[i * width() + i] = 1.0f;
  }
  void transpose(const float* a, float* c) const {
    for (int i = 0; i < size; ++i) {
      for (int j = 0; j < size; ++j) c[j * width() + i] = a[i * width() + j];
    }
  }
};

MatrixTrainer::Sheet MatrixTrainer::sheet_of(Work& work) const {
  const auto places = static_cast<std::size_t>(options_.window) + 1;
  if (work.matrices.size() == 0) {
    work.matrices = AlignedBuffer<float>(places * kKinds * matrix_);
    std::fill(work.matrices.data(), work.matrices.data() + work.matrices.size(), 0.0f);
    work.rows = AlignedBuffer<float>((kRows + 2 * places) * stride_);
    std::fill(work.rows.data(), work.rows.data() + work.rows.size(), 0.0f);
  }
  return {work.matrices.data(), work.rows.data(), matrix_,   stride_,
          options_.size,        line_steps_,      work.lines};
}

void MatrixTrainer::multiply(const TextPart& unit, Work& work) const {
  const Sheet sheet = sheet_of(work);
  const int n = work.n = static_cast<int>(unit.end - unit.begin);
  sheet.identity(sheet.at(kP, 0));
  sheet.identity(sheet.at(kPT, 0));
  sheet.identity(sheet.at(kS, n));
  sheet.identity(sheet.at(kST, n));
  float* sum = sheet.row(kSum);
  std::fill(sum, sum + mean_, 0.0f);
  for (int p = 0; p < n; ++p) {
    const float* row = row_of(unit.begin + p);
    for (std::size_t d = 0; d < mean_; ++d) sum[d] += row[d];
    sheet.transpose(row + mean_, sheet.at(kWT, p));
    if (p + 1 == n) break;  // the product of all is nobody's context
    sheet.clear(sheet.at(kP, p + 1));
    sheet.add_product(sheet.at(kP, p), row + mean_, sheet.at(kP, p + 1));
    sheet.transpose(sheet.at(kP, p + 1), sheet.at(kPT, p + 1));
  }
  for (int p = n - 1; p > 0; --p) {
    sheet.clear(sheet.at(kS, p));
    sheet.add_product(row_of(unit.begin + p) + mean_, sheet.at(kS, p + 1), sheet.at(kS, p));
    sheet.transpose(sheet.at(kS, p), sheet.at(kST, p));
  }
}

// Scores of each word against the others, and where their gradients enter the chain.
WordLoss MatrixTrainer::score(const Piece& piece, Work& work) const {
  WordLoss loss;
  const Sheet sheet = sheet_of(work);
  const WindowKernels& kernels = window_kernels();
  const float share = 1.0f / static_cast<float>(work.n - 1);
  float* total = sheet.row(kTotal);
  std::fill(total, total + mean_, 0.0f);
  for (int p = 0; p <= work.n; ++p) {
    for (const Kind kind : {kDP, kDS, kDW}) sheet.clear(sheet.at(kind, p));
    std::fill(sheet.change(p), sheet.change(p) + stride_, 0.0f);
  }
  for (const WindowSpan& window : work.plan.windows) {
    const int t = static_cast<int>(window.token - work.unit->begin);
    const float* row = row_of(window.token);
    float* hidden = sheet.hidden(t);
    for (std::size_t d = 0; d < mean_; ++d) hidden[d] = share * (sheet.row(kSum)[d] - row[d]);
    sheet.clear(hidden + mean_);
    sheet.add_product(sheet.at(kP, t), sheet.at(kS, t + 1), hidden + mean_);
    float* gradients = work.gradients.data() + window.gradients;
    float* const* out = work.out.data() + window.out;
    kernels.scores(&hidden, 1, out, window.n, nullptr, &work.rate, steps_, gradients);
    float* error = sheet.row(kError);
    std::fill(error, error + stride_, 0.0f);
    kernels.pull(error, out, window.n, gradients, 0, steps_);
    for (std::size_t d = 0; d < mean_; ++d) {
      total[d] += share * error[d];
      sheet.change(t)[d] = -share * error[d];
    }
    sheet.add_product(error + mean_, sheet.at(kST, t + 1), sheet.at(kDP, t));
    sheet.add_product(sheet.at(kPT, t), error + mean_, sheet.at(kDS, t + 1));
    if (piece.told) loss += window_loss(gradients, window.n, work.rate);
  }
  return loss;
}

void MatrixTrainer::chain(Work& work) const {
  const Sheet sheet = sheet_of(work);
  const int n = work.n;
  for (int p = n - 2; p >= 0; --p) {  // nothing comes through P_n
    sheet.add_product(sheet.at(kPT, p), sheet.at(kDP, p + 1), sheet.at(kDW, p));
    sheet.add_product(sheet.at(kDP, p + 1), sheet.at(kWT, p), sheet.at(kDP, p));
  }
  for (int p = 1; p < n; ++p) {  // nor through S_0
    sheet.add_product(sheet.at(kDS, p), sheet.at(kST, p + 1), sheet.at(kDW, p));
    sheet.add_product(sheet.at(kWT, p), sheet.at(kDS, p), sheet.at(kDS, p + 1));
  }
}

// What each place's row is to be moved by.
void MatrixTrainer::collect(Work& work) const {
  const Sheet sheet = sheet_of(work);
  for (int p = 0; p < work.n; ++p) {
    float* change = sheet.change(p);
    const float* moved = sheet.at(kDW, p);
    double square = 0.0;
    for (std::size_t d = 0; d < matrix_; ++d) square += static_cast<double>(moved[d]) * moved[d];
    const auto length = static_cast<float>(std::sqrt(square));
    const float scale = length > kLongestMove ? kLongestMove / length : 1.0f;
    for (std::size_t d = 0; d < matrix_; ++d) change[mean_ + d] = scale * moved[d];
    for (std::size_t d = 0; d < mean_; ++d) change[d] += sheet.row(kTotal)[d];
  }
}

WordLoss MatrixTrainer::prepare(const Piece& piece, Work& work) const {
  work.unit = &units_[static_cast<std::size_t>(piece.number)];
  const TextPart& found = *work.unit;
  planner_.plan_text(lanes_.epoch_of(piece.step), found.text, found.begin, found.end, 0, work.plan);
  work.rate = lanes_.rate_of(piece.step);
  const auto need = static_cast<std::size_t>(work.plan.n_gradients) + kGradientSlack;
  if (work.gradients.size() < need) work.gradients = AlignedBuffer<float>(need + need / 4);
  work.out.resize(work.plan.outputs.size());
  for (std::size_t j = 0; j < work.out.size(); ++j) {
    work.out[j] = out_ + static_cast<std::size_t>(work.plan.outputs[j]) * stride_;
  }
  multiply(found, work);
  const WordLoss loss = score(piece, work);
  chain(work);
  collect(work);
  return loss;
}

void MatrixTrainer::move(Work& work, int first, int last) const {
  const Sheet sheet = sheet_of(work);
  const WindowKernels& kernels = window_kernels();
  for (const WindowSpan& window : work.plan.windows) {
    const float* hidden = sheet.hidden(static_cast<int>(window.token - work.unit->begin));
    for (int j = 0; j < window.n; ++j) {
      float* row = work.out[static_cast<std::size_t>(window.out) + static_cast<std::size_t>(j)];
      kernels.pull(row, &hidden, 1, work.gradients.data() + window.gradients + j, first, last);
    }
  }
  const float one = 1.0f;
  for (int p = 0; p < work.n; ++p) {
    float* row = const_cast<float*>(row_of(work.unit->begin + p));
    const float* change = sheet.change(p);
    kernels.pull(row, &change, 1, &one, first, last);
  }
}

PieceWork MatrixTrainer::pieces() {
  return {
      steps_,
      [this](std::size_t n) { works_.resize(std::max(works_.size(), n)); },
      [this](const Piece& piece) {
        const WordLoss loss = prepare(piece, works_[piece.at]);
        move(works_[piece.at], 0, steps_);
        return loss;
      },
      [this](const Piece& piece) { return prepare(piece, works_[piece.at]); },
      [this](std::size_t at, int first, int last) { move(works_[at], first, last); },
  };
}

WordLoss MatrixTrainer::run(std::int64_t begin, std::int64_t end, int n_jobs) {
  return lanes_.run(begin, end, n_jobs, pieces());
}

WordLoss MatrixTrainer::evaluate(int n_jobs) { return lanes_.evaluate(n_jobs, pieces()); }

void MatrixTrainer::encode_text(std::int64_t text, float* row, Work& work) const {
  const Sheet sheet = sheet_of(work);
  std::fill(row, row + stride_, 0.0f);
  const std::int64_t first = planner_.text_begin(text);
  const std::int64_t end = planner_.text_end(text);
  int windows = 0;
  for (std::int64_t from = first; from < end; from += options_.window, ++windows) {
    float* product = sheet.at(kP, 0);
    float* next = sheet.at(kP, 1);
    sheet.identity(product);
    for (std::int64_t t = from; t < std::min<std::int64_t>(end, from + options_.window); ++t) {
      const float* word = row_of(t);
      for (std::size_t d = 0; d < mean_; ++d) row[d] += word[d];
      sheet.clear(next);
      sheet.add_product(product, word + mean_, next);
      std::swap(product, next);
    }
    for (std::size_t d = 0; d < matrix_; ++d) row[mean_ + d] += product[d];
  }
  if (windows == 0) return;
  for (std::size_t d = 0; d < mean_; ++d) row[d] /= static_cast<float>(end - first);
  for (std::size_t d = mean_; d < stride_; ++d) row[d] /= static_cast<float>(windows);
}

void MatrixTrainer::encode(std::int64_t begin, std::int64_t end, float* texts, int n_jobs) {
  const int threads = resolve_jobs(n_jobs);
  works_.resize(std::max(works_.size(), static_cast<std::size_t>(threads)));
  parallel_for(end - begin, threads, [&](std::int64_t task, int worker) {
    encode_text(begin + task, texts + static_cast<std::size_t>(begin + task) * stride_,
                works_[static_cast<std::size_t>(worker)]);
    poll_interrupt();
  });
}

}  // namespace vl
