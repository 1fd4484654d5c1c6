// SPDX-License-Identifier: Apache-2.0
// How the pieces of a corpus make the steps of a training, and the two ways to run them: freely,
// threads writing into each other's rows without locks (Recht, Re, Wright, Niu, "Hogwild!", NIPS
// 2011), or ordered, with the same bits at any number of threads (ordered_steps.h).
#pragma once

#include <cstdint>
#include <functional>

namespace vl {

struct WordLoss {
  double sum = 0.0;  // of -log sigmoid(+-x) over the pairs of the pieces that are sampled for it
  std::int64_t pairs = 0;

  WordLoss& operator+=(const WordLoss& other) {
    sum += other.sum;
    pairs += other.pairs;
    return *this;
  }
};

struct LaneRules {
  bool deterministic = true;
  std::int64_t free_pieces = 16;  // of a step
  // Ordered: most pieces of a step, and the least words and pieces an epoch for each of them. Few
  // words meet themselves in every window: their gradients must not be stale.
  std::int64_t lanes = 8, words_a_lane = 256, pieces_a_lane = 16;
  std::int64_t epochs = 5;
  double alpha = 0.025, min_alpha = 1e-4;  // the rate falls in a straight line
};

// A piece to work on, in the place `at` of those that are worked on at once.
struct Piece {
  std::int64_t step, number;
  std::size_t at;
  bool told;  // whether its loss is asked for
};

// What a trainer does with pieces. `train` computes the gradients and moves the rows, window by
// window where it can; `prepare` leaves the rows alone, and `move` moves the cache lines
// [first, last) of each row that the piece names.
struct PieceWork {
  int steps;  // cache lines of a row
  std::function<void(std::size_t n)> make_room;
  std::function<WordLoss(const Piece&)> train;
  std::function<WordLoss(const Piece&)> prepare;
  std::function<void(std::size_t at, int first, int last)> move;
};

class Lanes {
 public:
  Lanes(std::int64_t n_pieces, std::int64_t n_words, const LaneRules& rules);

  std::int64_t n_steps() const { return steps_an_epoch_ * rules_.epochs; }
  std::int64_t epoch_of(std::int64_t step) const { return step / steps_an_epoch_; }
  float rate_of(std::int64_t step) const;

  // Trains the steps [begin, end). In the ordered mode any cut gives the same rows.
  WordLoss run(std::int64_t begin, std::int64_t end, int n_jobs, const PieceWork& work) const;
  // The loss of all pieces as the first epoch draws them; the rows stay. The same bits at any
  // number of threads.
  WordLoss evaluate(int n_jobs, const PieceWork& work) const;

 private:
  WordLoss run_free(std::int64_t begin, std::int64_t end, int n_jobs, const PieceWork& work) const;
  WordLoss run_ordered(std::int64_t begin, std::int64_t end, int n_jobs,
                       const PieceWork& work) const;

  LaneRules rules_;
  std::int64_t n_pieces_;
  std::int64_t lanes_;  // pieces of a step
  std::int64_t steps_an_epoch_;
};

}  // namespace vl
