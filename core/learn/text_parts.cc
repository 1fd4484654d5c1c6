// SPDX-License-Identifier: Apache-2.0
#include "learn/text_parts.h"

#include <algorithm>
#include <cmath>

namespace vl {

std::vector<TextPart> text_parts(const WordPlanner& planner, std::int64_t longest, bool alone) {
  std::vector<TextPart> parts;
  for (std::int64_t i = 0; i < planner.n_texts(); ++i) {
    const std::int64_t end = planner.text_end(i);
    if (end - planner.text_begin(i) < 2) continue;  // no word has another beside it
    for (std::int64_t t = planner.text_begin(i); t < end; t += longest) {
      if (alone && t + 1 == end) continue;
      parts.push_back({static_cast<std::int32_t>(i), t, std::min(end, t + longest)});
    }
  }
  return parts;
}

WindowRules text_rules(const TextTraining& options) {
  WindowRules rules;
  rules.negative = options.negative;
  rules.text = TextInput::kAlone;
  rules.seed = options.seed;
  return rules;
}

LaneRules text_lanes(const TextTraining& options, std::int64_t words_a_lane) {
  LaneRules rules;
  rules.deterministic = options.deterministic;
  rules.words_a_lane = words_a_lane;
  rules.epochs = options.epochs;
  rules.alpha = options.alpha;
  rules.min_alpha = options.min_alpha;
  return rules;
}

WordLoss window_loss(const float* gradients, int n, float rate) {
  WordLoss loss{0.0, 1};
  for (int j = 0; j < n; ++j) {
    const double error = std::abs(static_cast<double>(gradients[j] / rate));
    loss.sum -= std::log(std::max(1e-7, 1.0 - error));
  }
  return loss;
}

}  // namespace vl
