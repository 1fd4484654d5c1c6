// SPDX-License-Identifier: Apache-2.0
#include "learn/word_plan.h"

#include <algorithm>

namespace vl {
namespace {

// Two streams an epoch.
constexpr std::uint32_t kKeepStream = 0;
constexpr std::uint32_t kWindowStream = 1;
// A false word that is the true one, or there already, is drawn again so often; tiny vocabularies
// then get fewer.
constexpr int kDraws = 8;

std::uint32_t stream(std::int64_t epoch, std::uint32_t use) {
  return static_cast<std::uint32_t>(epoch) * 2u + use;
}

}  // namespace

struct WordPlanner::Kept {
  std::vector<std::int32_t> left,
      right;  // the sentence of each kept token, as places [left, right)
  std::vector<std::int64_t> tokens;
  std::vector<std::int32_t> texts;   // of the piece's own
  std::int32_t first = 0, last = 0;  // places of the piece's own
  std::int64_t block = -1;           // the four tokens that `bits` decides on
  PhiloxCounter bits{};
};

WordPlanner::WordPlanner(std::span<const std::int32_t> tokens, std::span<const std::int64_t> counts,
                         double sample, double noise_exponent, const WindowRules& rules)
    : tokens_(tokens),
      keep_(keep_limits(counts, sample)),
      noise_(noise_words(counts, noise_exponent)),
      tree_(rules.tree ? word_tree(counts) : WordTree{}),
      rules_(rules) {
  if (rules.text == TextInput::kNone) return;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] == kSentenceEnd) starts_.push_back(static_cast<std::int64_t>(t) + 1);
  }
}

bool WordPlanner::is_kept(const Part& part, std::int64_t token, Kept& kept) const {
  const std::uint32_t limit =
      keep_[static_cast<std::size_t>(tokens_[static_cast<std::size_t>(token)])];
  if (limit == UINT32_MAX) return true;
  const std::int64_t place = token - part.origin;
  if (kept.block != place / 4) {
    kept.block = place / 4;
    const auto item = static_cast<std::uint64_t>(kept.block);
    kept.bits = philox4x32(
        {0, stream(part.epoch, kKeepStream), static_cast<std::uint32_t>(item),
         static_cast<std::uint32_t>(item >> 32)},
        {static_cast<std::uint32_t>(rules_.seed), static_cast<std::uint32_t>(rules_.seed >> 32)});
  }
  return kept.bits[static_cast<std::size_t>(place % 4)] <= limit;
}

// The kept tokens of a piece, and before and after it as many as a window may reach.
void WordPlanner::keep_tokens(const Part& part, Kept& kept) const {
  const auto n = static_cast<std::int64_t>(tokens_.size());
  std::vector<std::int64_t>& found = kept.tokens;
  found.clear();
  kept.texts.clear();
  const auto boundary = [this](std::int64_t t) {
    return tokens_[static_cast<std::size_t>(t)] == kSentenceEnd;
  };
  for (std::int64_t t = part.begin - 1; t >= 0 && !boundary(t); --t) {
    if (static_cast<int>(found.size()) == rules_.window) break;
    if (is_kept(part, t, kept)) found.push_back(t);
  }
  std::reverse(found.begin(), found.end());
  kept.first = static_cast<std::int32_t>(found.size());
  std::vector<std::int32_t>& left = kept.left;
  std::vector<std::int32_t>& right = kept.right;
  std::int32_t sentence = 0;
  left.assign(found.size(), 0);
  right.clear();
  const auto close = [&] {
    right.resize(found.size(), static_cast<std::int32_t>(found.size()));
    sentence = static_cast<std::int32_t>(found.size());
  };
  std::int64_t t = part.begin;
  std::int32_t text = part.text;
  for (; t < part.end; ++t) {
    if (boundary(t)) {
      close();
      ++text;
    } else if (is_kept(part, t, kept)) {
      found.push_back(t);
      left.push_back(sentence);
      kept.texts.push_back(text);
    }
  }
  kept.last = static_cast<std::int32_t>(found.size());
  for (int more = 0; t < n && !boundary(t) && more < rules_.window; ++t) {
    if (!is_kept(part, t, kept)) continue;
    found.push_back(t);
    left.push_back(sentence);
    ++more;
  }
  close();
}

void WordPlanner::add_inputs(std::int32_t center, std::int32_t low, std::int32_t high,
                             WordPlan& plan) const {
  const std::size_t begin = plan.inputs.size();
  for (std::int32_t p = low; p < high; ++p) {
    if (p == center) continue;
    const auto place = static_cast<std::size_t>(p);
    const std::int32_t row = rules_.by_slot ? plan.slot_of[place] : plan.places[place];
    if (rules_.merge) {
      const auto first = plan.inputs.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto same = std::find(first, plan.inputs.end(), row);
      if (same != plan.inputs.end()) {
        plan.weights[static_cast<std::size_t>(same - plan.inputs.begin())] += 1.0f;
        continue;
      }
    }
    plan.inputs.push_back(row);
    plan.weights.push_back(1.0f);
  }
}

// In front of the neighbours: the last input is the one that is fetched ahead.
void WordPlanner::add_text(std::int32_t text, WordPlan& plan) const {
  if (!rules_.by_slot) {
    plan.inputs.push_back(static_cast<std::int32_t>(n_words()) + text);
  } else {
    if (plan.slots.empty() || plan.slots.back() != text) plan.slots.push_back(text);
    plan.inputs.push_back(static_cast<std::int32_t>(plan.slots.size()) - 1);
  }
  plan.weights.push_back(1.0f);
}

void WordPlanner::add_outputs(std::span<const std::int32_t> words, bool again, Random& random,
                              WordPlan& plan) const {
  if (rules_.negative > 0) {
    const auto begin = static_cast<std::ptrdiff_t>(plan.outputs.size());
    plan.outputs.insert(plan.outputs.end(), words.begin(), words.end());
    int drawn = 0;
    if (again) {  // the false words of the window before, but for this one's own word
      const WindowSpan& before = plan.windows.back();
      for (std::int32_t j = before.out + before.truths; j < before.out + before.n; ++j) {
        const std::int32_t noise = plan.outputs[static_cast<std::size_t>(j)];
        if (noise == words.front()) continue;
        plan.outputs.push_back(noise);
        ++drawn;
      }
    }
    for (int k = drawn; k < rules_.negative; ++k) {
      for (int draw = 0; draw < kDraws; ++draw) {
        const std::int32_t noise = noise_.draw(random);
        const auto first = plan.outputs.begin() + begin;
        if (std::find(first, plan.outputs.end(), noise) != plan.outputs.end()) continue;
        plan.outputs.push_back(noise);
        break;
      }
    }
    if (rules_.tree || rules_.together > 1) {
      plan.labels.insert(plan.labels.end(), words.size(), 1.0f);
      plan.labels.resize(plan.outputs.size(), 0.0f);
    }
  }
  if (!rules_.tree) return;
  const auto w = static_cast<std::size_t>(words.front());
  for (auto at = static_cast<std::size_t>(tree_.offsets[w]);
       at < static_cast<std::size_t>(tree_.offsets[w + 1]); ++at) {
    plan.outputs.push_back(static_cast<std::int32_t>(n_words()) + tree_.nodes[at]);
    plan.labels.push_back(tree_.labels[at]);
  }
}

void WordPlanner::find_slots(WordPlan& plan) {
  plan.slot_of.clear();
  for (const std::int32_t word : plan.places) {
    const auto same = std::find(plan.slots.begin(), plan.slots.end(), word);
    plan.slot_of.push_back(static_cast<std::int32_t>(same - plan.slots.begin()));
    if (same == plan.slots.end()) plan.slots.push_back(word);
  }
}

void WordPlanner::plan(std::int64_t epoch, std::int64_t unit, WordPlan& plan) const {
  const std::int64_t begin = unit * rules_.unit_tokens;
  const std::int64_t end =
      std::min(static_cast<std::int64_t>(tokens_.size()), begin + rules_.unit_tokens);
  const auto text = std::upper_bound(starts_.begin(), starts_.end(), begin) - starts_.begin() - 1;
  plan_part({epoch, begin, end, 0, static_cast<std::int32_t>(text)}, plan);
}

void WordPlanner::plan_text(std::int64_t epoch, std::int64_t text, std::int64_t begin,
                            std::int64_t end, std::int64_t origin, WordPlan& plan) const {
  plan_part({epoch, begin, end, origin, static_cast<std::int32_t>(text)}, plan);
}

void WordPlanner::plan_part(const Part& part, WordPlan& plan) const {
  thread_local Kept kept;
  kept.block = -1;
  keep_tokens(part, kept);
  plan.places.clear();
  plan.slots.clear();
  plan.windows.clear();
  plan.inputs.clear();
  plan.weights.clear();
  plan.outputs.clear();
  plan.labels.clear();
  plan.n_gradients = 0;
  for (const std::int64_t token : kept.tokens) {
    plan.places.push_back(tokens_[static_cast<std::size_t>(token)]);
  }
  const bool alone = rules_.text == TextInput::kAlone;
  if (rules_.by_slot && !alone) find_slots(plan);
  std::int32_t told = 1;
  for (std::int32_t c = kept.first; c < kept.last; c += told) {
    const auto place = static_cast<std::size_t>(c);
    const auto text_of = [&](std::int32_t p) {
      return kept.texts[static_cast<std::size_t>(p - kept.first)];
    };
    told = 1;
    while (told < rules_.together && c + told < kept.last && text_of(c + told) == text_of(c)) {
      ++told;
    }
    Random random(rules_.seed, stream(part.epoch, kWindowStream),
                  static_cast<std::uint64_t>(kept.tokens[place] - part.origin));
    WindowSpan span{};
    span.in = static_cast<std::int32_t>(plan.inputs.size());
    if (rules_.text != TextInput::kNone) {
      add_text(text_of(c), plan);
    }
    if (!alone) {
      const auto reach =
          static_cast<std::int32_t>(random.below(static_cast<std::uint32_t>(rules_.window))) + 1;
      add_inputs(c, std::max(kept.left[place], c - reach),
                 std::min(kept.right[place], c + reach + 1), plan);
    }
    span.m = static_cast<std::int32_t>(plan.inputs.size()) - span.in;
    if (span.m == 0) continue;
    span.out = static_cast<std::int32_t>(plan.outputs.size());
    span.truths = told;
    const bool again = plan.windows.size() % static_cast<std::size_t>(rules_.shared) != 0;
    add_outputs({plan.places.data() + place, static_cast<std::size_t>(told)}, again, random, plan);
    span.n = static_cast<std::int32_t>(plan.outputs.size()) - span.out;
    span.gradients = plan.n_gradients;
    span.token = kept.tokens[place];
    plan.n_gradients += static_cast<std::int64_t>(span.m) * span.n;
    plan.windows.push_back(span);
  }
}

}  // namespace vl
