// SPDX-License-Identifier: Apache-2.0
//   q = x / |x|,  d = x / |x|^power,  x = sum of weight * row over a text's n-grams
//   s_ij = scale * q_i . d_j          L = - mean_i (log softmax_j s_ij + log softmax_j s_ji)(i) / 2
//   dL/ds_ij = (softmax_j s_ij + softmax_i s_ij - 2 [i = j]) / 2     (summed over the batch)
//   dL/dx of a query:    scale (g - (g . u) u) / |x|                 u = x / |x|
//   dL/dx of a document: scale (g - power (g . u) u) / |x|^power
// Products in float32 (linalg/matmul), softmax in float64. What is drawn for a text depends on
// (seed, epoch, text) alone, each bag and each row belongs to one task: same bits at any number of
// threads. (Henderson et al., "Efficient natural language response suggestion for Smart Reply",
// 2017, arXiv:1705.00652; pieces of texts: Lee, Chang, Toutanova, ACL 2019, arXiv:1906.00300.)
#include "learn/dual_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "base/threads.h"
#include "linalg/matmul.h"

namespace vl {
namespace {

constexpr std::uint32_t kOrderStream = 0x6475616cu;
constexpr std::uint32_t kHeldOutStream = 0x6475616du;
constexpr std::uint32_t kDrawStream = 0x64000000u;  // plus the epoch
constexpr std::int64_t kShortestHead = 2;
constexpr float kTiny = 1e-12f;

float length_of(const float* x, std::int64_t dim) {
  double sum = 0.0;
  for (std::int64_t d = 0; d < dim; ++d) sum += static_cast<double>(x[d]) * x[d];
  return static_cast<float>(std::sqrt(sum));
}

float dot(const float* a, const float* b, std::int64_t dim) {
  double sum = 0.0;
  for (std::int64_t d = 0; d < dim; ++d) sum += static_cast<double>(a[d]) * b[d];
  return static_cast<float>(sum);
}

void transpose(const float* from, std::int64_t n, std::int64_t m, float* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < m; ++j) to[j * n + i] = from[i * m + j];
  }
}

}  // namespace

void encode_bags(const NgramRows& texts, BagWeight weight, const float* table, std::int64_t dim,
                 double power, float* out, int n_threads) {
  std::vector<Bag> bags(static_cast<std::size_t>(std::max(n_threads, 1)));
  parallel_for(texts.n_texts(), n_threads, [&](std::int64_t t, int worker) {
    Bag& bag = bags[static_cast<std::size_t>(worker)];
    bag.clear();
    bag.add(texts, texts.begin(t), texts.end(t));
    bag.weigh(weight);
    float* x = out + t * dim;
    gather(table, dim, bag, x);
    const float length = length_of(x, dim);
    if (power == 0.0 || length <= kTiny) return;
    const auto scale = static_cast<float>(std::pow(static_cast<double>(length), -power));
    for (std::int64_t d = 0; d < dim; ++d) x[d] *= scale;
  });
}

DualTrainer::DualTrainer(const NgramRows& texts, std::span<const std::int64_t> heads,
                         std::span<const std::int64_t> items,
                         std::span<const std::int32_t> neighbours, float* table, float* squares,
                         const DualOptions& options)
    : texts_(texts),
      heads_(heads),
      items_(items.begin(), items.end()),
      neighbours_(neighbours),
      table_(table),
      squares_(squares),
      options_(options),
      batches_(std::max<std::int64_t>(1, static_cast<std::int64_t>(items.size()) / options.batch)) {
}

// A random order of the items; with neighbours, of groups of a text and those like it.
void DualTrainer::shuffle(std::int64_t epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  Random random(options_.seed, kOrderStream, static_cast<std::uint64_t>(epoch));
  const auto mix = [&](auto& values) {
    for (std::size_t left = values.size(); left > 1; --left) {
      std::swap(values[left - 1], values[random.below64(left)]);
    }
  };
  const std::size_t n = items_.size();
  std::vector<std::size_t> places(n);
  std::iota(places.begin(), places.end(), std::size_t{0});
  mix(places);
  const std::size_t k = n == 0 ? 0 : neighbours_.size() / n;
  const auto most = static_cast<std::size_t>(options_.group);
  std::vector<std::vector<std::size_t>> groups;
  std::vector<bool> taken(n);
  for (const std::size_t place : places) {
    if (taken[place]) continue;
    taken[place] = true;
    std::vector<std::size_t>& group = groups.emplace_back(1, place);
    for (const std::int32_t near : neighbours_.subspan(place * k, k)) {
      const auto other = static_cast<std::size_t>(near);
      if (taken[other] || group.size() >= most) continue;
      taken[other] = true;
      group.push_back(other);
    }
  }
  mix(groups);
  order_.clear();
  for (const std::vector<std::size_t>& group : groups) {
    for (const std::size_t place : group) order_.push_back(items_[place]);
  }
}

void DualTrainer::draw(std::int64_t text, std::uint32_t stream, Bag& query, Bag& document) const {
  Random random(options_.seed, stream, static_cast<std::uint64_t>(text));
  const std::int64_t begin = texts_.begin(text), end = texts_.end(text);
  const std::int64_t head = heads_[static_cast<std::size_t>(text)];
  query.clear();
  document.clear();
  const double choice = random.uniform64();
  const bool whole = random.uniform64() < options_.whole_share;
  std::int64_t from = begin, to = head;
  const bool has_head = head - begin >= kShortestHead && end > head;
  if (!(options_.head_share >= 1.0) && !(has_head && choice < options_.head_share)) {
    const std::int64_t n = end - begin;
    const auto choices = static_cast<std::uint64_t>(options_.longest - options_.shortest + 1);
    std::int64_t size = options_.shortest + static_cast<std::int64_t>(random.below64(choices));
    size = std::min(size, std::max<std::int64_t>(2, n / 3));  // something is left to be found by
    size = std::min(size, n);
    from =
        begin + static_cast<std::int64_t>(random.below64(static_cast<std::uint64_t>(n - size + 1)));
    to = from + size;
  }
  query.add(texts_, from, to);
  if (whole) {
    document.add(texts_, begin, end);
  } else {
    document.add(texts_, begin, from);
    document.add(texts_, to, end);
  }
  query.weigh(BagWeight::kLog);
  document.weigh(BagWeight::kLog);
}

void DualTrainer::forward(std::span<const std::int64_t> items, std::uint32_t stream,
                          int n_threads) {
  const auto m = static_cast<std::int64_t>(items.size());
  const std::int64_t dim = options_.dim;
  const auto size = static_cast<std::size_t>(m);
  bags_.resize(2 * size);
  units_.resize(2 * size * static_cast<std::size_t>(dim));
  lengths_.resize(2 * size);
  documents_.resize(size * static_cast<std::size_t>(dim));
  scores_.resize(size * size);
  parallel_for(m, n_threads, [&](std::int64_t i, int) {
    const auto at = static_cast<std::size_t>(i);
    draw(items[at], stream, bags_[at], bags_[at + size]);
    for (const std::size_t b : {at, at + size}) {
      float* x = units_.data() + static_cast<std::int64_t>(b) * dim;
      gather(table_, dim, bags_[b], x);
      const float length = std::max(length_of(x, dim), kTiny);
      lengths_[b] = length;
      for (std::int64_t d = 0; d < dim; ++d) x[d] /= length;
    }
    const auto grown = static_cast<float>(
        std::pow(static_cast<double>(lengths_[at + size]), 1.0 - options_.power));
    const float* unit = units_.data() + (m + i) * dim;
    float* document = documents_.data() + i * dim;
    for (std::int64_t d = 0; d < dim; ++d) document[d] = grown * unit[d];
  });
  matmul(units_.data(), m, documents_.data(), m, dim, scores_.data(), n_threads);
}

// The sum of the loss over the pairs; with `slopes`, dL/ds by rows.
double DualTrainer::contrast(std::int64_t m, bool slopes) {
  const auto size = static_cast<std::size_t>(m);
  if (slopes) slopes_.assign(size * size, 0.0f);
  double loss = 0.0;
  std::vector<double> exps(size);
  for (const bool by_row : {true, false}) {
    const std::size_t line = by_row ? size : 1, step = by_row ? 1 : size;
    for (std::size_t i = 0; i < size; ++i) {
      double most = -INFINITY, sum = 0.0;
      for (std::size_t j = 0; j < size; ++j) {
        exps[j] = options_.scale * static_cast<double>(scores_[i * line + j * step]);
        most = std::max(most, exps[j]);
      }
      const double own = exps[i] - most;
      for (double& value : exps) sum += value = std::exp(value - most);
      loss += 0.5 * (std::log(sum) - own);
      for (std::size_t j = 0; slopes && j < size; ++j) {
        const double share = exps[j] / sum - (i == j ? 1.0 : 0.0);
        slopes_[i * line + j * step] += static_cast<float>(0.5 * options_.scale * share);
      }
    }
  }
  return loss;
}

void DualTrainer::backward(std::int64_t m, int n_threads) {
  const std::int64_t dim = options_.dim;
  gradients_.resize(units_.size());
  turned_.resize(static_cast<std::size_t>(m * std::max(m, dim)));
  // Products take both factors by rows of the inner axis.
  transpose(documents_.data(), m, dim, turned_.data());
  matmul(slopes_.data(), m, turned_.data(), dim, m, gradients_.data(), n_threads);
  std::vector<float> columns(static_cast<std::size_t>(m * m));
  transpose(slopes_.data(), m, m, columns.data());
  transpose(units_.data(), m, dim, turned_.data());
  matmul(columns.data(), m, turned_.data(), dim, m, gradients_.data() + m * dim, n_threads);
  parallel_for(2 * m, n_threads, [&](std::int64_t b, int) {
    float* g = gradients_.data() + b * dim;
    const float* unit = units_.data() + b * dim;
    const float length = lengths_[static_cast<std::size_t>(b)];
    const double power = b < m ? 1.0 : options_.power;
    const bool is_zero = length <= kTiny;  // nothing to turn
    const auto scale =
        is_zero ? 0.0f : static_cast<float>(std::pow(static_cast<double>(length), -power));
    const float along = static_cast<float>(power) * dot(g, unit, dim);
    for (std::int64_t d = 0; d < dim; ++d) g[d] = scale * (g[d] - along * unit[d]);
  });
}

DualLoss DualTrainer::run(std::int64_t begin, std::int64_t end, int n_jobs) {
  const int n_threads = resolve_jobs(n_jobs);
  const auto n = static_cast<std::int64_t>(items_.size());
  DualLoss loss;
  for (std::int64_t step = begin; step < end; ++step) {
    const std::int64_t epoch = step / batches_, batch = step % batches_;
    shuffle(epoch);
    const std::int64_t from = batch * n / batches_, to = (batch + 1) * n / batches_;
    const std::int64_t m = to - from;
    const std::span<const std::int64_t> items(order_.data() + from, static_cast<std::size_t>(m));
    forward(items, kDrawStream + static_cast<std::uint32_t>(epoch), n_threads);
    loss.sum += contrast(m, true);
    loss.pairs += m;
    backward(m, n_threads);
    const double left = 1.0 - static_cast<double>(step) / static_cast<double>(n_steps());
    descent_.step({bags_.data(), static_cast<std::size_t>(2 * m)}, gradients_.data(), options_.dim,
                  static_cast<float>(options_.rate * left), table_, squares_, n_threads);
  }
  return loss;
}

DualLoss DualTrainer::evaluate(std::span<const std::int64_t> items, int n_jobs) {
  const int n_threads = resolve_jobs(n_jobs);
  DualLoss loss;
  const auto batch = static_cast<std::size_t>(options_.batch);
  for (std::size_t from = 0; from < items.size(); from += batch) {
    const auto part = items.subspan(from, std::min(batch, items.size() - from));
    forward(part, kHeldOutStream, n_threads);
    loss.sum += contrast(static_cast<std::int64_t>(part.size()), false);
    loss.pairs += static_cast<std::int64_t>(part.size());
  }
  return loss;
}

}  // namespace vl
