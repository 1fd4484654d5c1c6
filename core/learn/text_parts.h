// SPDX-License-Identifier: Apache-2.0
// What trainers share that take texts in parts, each word of a part told from the others.
#pragma once

#include <cstdint>
#include <vector>

#include "learn/lanes.h"
#include "learn/word_plan.h"

namespace vl {

struct TextTraining {
  int negative = 5;
  bool deterministic = true;
  double sample = 1e-4;
  double noise_exponent = 0.75;
  double alpha = 0.025;
  double min_alpha = 1e-4;
  std::int64_t epochs = 5;
  std::uint64_t seed = 0;
};

// Tokens [begin, end) of one text.
struct TextPart {
  std::int32_t text;
  std::int64_t begin, end;
};

// The texts in parts of `longest` tokens or fewer, in order; those of one word are left out, and
// where parts do not see each other (`alone`) a last part of one word is too.
std::vector<TextPart> text_parts(const WordPlanner& planner, std::int64_t longest, bool alone);

WindowRules text_rules(const TextTraining& options);
LaneRules text_lanes(const TextTraining& options, std::int64_t words_a_lane);

// -log sigmoid of a word and its false words: sigmoid's error is gradient / rate.
WordLoss window_loss(const float* gradients, int n, float rate);

}  // namespace vl
