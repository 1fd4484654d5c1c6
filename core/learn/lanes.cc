// SPDX-License-Identifier: Apache-2.0
#include "learn/lanes.h"

#include <algorithm>
#include <vector>

#include "base/threads.h"
#include "learn/ordered_steps.h"

namespace vl {
namespace {

constexpr std::int64_t kLossEvery = 8;  // pieces

}  // namespace

Lanes::Lanes(std::int64_t n_pieces, std::int64_t n_words, const LaneRules& rules)
    : rules_(rules), n_pieces_(n_pieces), lanes_(rules.free_pieces) {
  if (rules.deterministic) {
    const std::int64_t most =
        std::min(n_words / rules.words_a_lane, n_pieces / rules.pieces_a_lane);
    lanes_ = std::clamp<std::int64_t>(most, 1, rules.lanes);
  }
  steps_an_epoch_ = std::max<std::int64_t>(1, (n_pieces + lanes_ - 1) / lanes_);
}

float Lanes::rate_of(std::int64_t step) const {
  const double done = static_cast<double>(step) / static_cast<double>(n_steps());
  return static_cast<float>(
      std::max(rules_.min_alpha, rules_.alpha - (rules_.alpha - rules_.min_alpha) * done));
}

WordLoss Lanes::run(std::int64_t begin, std::int64_t end, int n_jobs, const PieceWork& work) const {
  return rules_.deterministic ? run_ordered(begin, end, n_jobs, work)
                              : run_free(begin, end, n_jobs, work);
}

WordLoss Lanes::run_free(std::int64_t begin, std::int64_t end, int n_jobs,
                         const PieceWork& work) const {
  const int threads = resolve_jobs(n_jobs);
  work.make_room(static_cast<std::size_t>(threads));
  std::vector<WordLoss> losses(static_cast<std::size_t>(threads));
  parallel_for(end - begin, threads, [&](std::int64_t task, int worker) {
    const auto at = static_cast<std::size_t>(worker);
    const std::int64_t step = begin + task;
    const std::int64_t from = step % steps_an_epoch_ * lanes_;
    const std::int64_t to = std::min(n_pieces_, from + lanes_);
    for (std::int64_t number = from; number < to; ++number) {
      losses[at] += work.train({step, number, at, number % kLossEvery == 0});
      poll_interrupt();
    }
  });
  WordLoss total;
  for (const WordLoss& loss : losses) total += loss;
  return total;
}

// Lane l goes through its own part of the corpus. All lines of a row are computed for the scores;
// slices of them belong to the threads for the move.
WordLoss Lanes::run_ordered(std::int64_t begin, std::int64_t end, int n_jobs,
                            const PieceWork& work) const {
  const int threads = std::min(resolve_jobs(n_jobs), work.steps);
  const auto n_lanes = static_cast<std::size_t>(lanes_);
  work.make_room(n_lanes);
  std::vector<WordLoss> losses(n_lanes);
  std::vector<std::uint8_t> there(n_lanes);
  WordLoss total;
  const auto prepare_lane = [&](std::int64_t step, std::int64_t lane) {
    const auto at = static_cast<std::size_t>(lane);
    const std::int64_t number = lane * steps_an_epoch_ + step % steps_an_epoch_;
    there[at] = number < n_pieces_ ? 1 : 0;
    losses[at] = there[at] != 0 ? work.prepare({step, number, at, (step + lane) % kLossEvery == 0})
                                : WordLoss{};
  };
  const auto move_part = [&](std::int64_t, int part) {
    if (part == 0) {
      for (const WordLoss& loss : losses) total += loss;
    }
    const auto cut = [&](int p) { return p * work.steps / threads; };
    for (std::size_t at = 0; at < n_lanes; ++at) {
      if (there[at] != 0) work.move(at, cut(part), cut(part + 1));
    }
  };
  run_ordered_steps({begin, end, lanes_, threads, prepare_lane, move_part});
  return total;
}

WordLoss Lanes::evaluate(int n_jobs, const PieceWork& work) const {
  const int threads = resolve_jobs(n_jobs);
  work.make_room(static_cast<std::size_t>(threads));
  std::vector<WordLoss> losses(static_cast<std::size_t>(n_pieces_));
  parallel_for(n_pieces_, threads, [&](std::int64_t number, int worker) {
    losses[static_cast<std::size_t>(number)] =
        work.prepare({0, number, static_cast<std::size_t>(worker), true});
    poll_interrupt();
  });
  WordLoss total;
  for (const WordLoss& loss : losses) total += loss;
  return total;
}

}  // namespace vl
