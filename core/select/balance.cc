// SPDX-License-Identifier: Apache-2.0
#include "select/balance.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace vl {
namespace {

constexpr int kRounds = 64;

// A row looking for a place: `target` is the nearest cluster with room.
struct Move {
  std::int64_t row;
  std::int32_t target;
  double loss;  // squared distance there minus squared distance now
};

bool loses_less(const Move& a, const Move& b) {
  return a.loss != b.loss ? a.loss < b.loss : a.row < b.row;
}

class Balance {
 public:
  Balance(const FloatRows& rows, const float* centroids, std::int64_t k, std::int64_t most,
          int n_threads, std::int32_t* labels)
      : rows_(rows),
        centroids_(centroids),
        k_(k),
        most_(most),
        n_threads_(n_threads),
        labels_(labels),
        counts_(static_cast<std::size_t>(k), 0) {
    for (std::int64_t r = 0; r < rows.n; ++r) ++counts_[labels[r]];
  }

  void run() {
    for (int round = 0; round < kRounds; ++round) {
      std::vector<Move> moves = wanted_moves();
      if (moves.empty()) return;
      std::sort(moves.begin(), moves.end(), loses_less);
      for (const Move& move : moves) {
        const std::int32_t from = labels_[move.row];
        if (counts_[from] <= most_ || counts_[move.target] >= most_) continue;
        --counts_[from];
        ++counts_[move.target];
        labels_[move.row] = move.target;
      }
    }
    fill_in_order();
  }

 private:
  // All rows of clusters above the bound, with the nearest cluster that has room.
  std::vector<Move> wanted_moves() const {
    std::vector<Move> moves;
    for (std::int64_t r = 0; r < rows_.n; ++r) {
      if (counts_[labels_[r]] > most_) moves.push_back({r, labels_[r], 0.0});
    }
    if (moves.empty()) return moves;
    std::vector<std::int32_t> open;
    for (std::int32_t c = 0; c < k_; ++c) {
      if (counts_[c] < most_) open.push_back(c);
    }
    const std::int64_t dim = rows_.dim;
    const auto n = std::ssize(moves);
    std::vector<float> targets(open.size() * static_cast<std::size_t>(dim));
    for (std::size_t i = 0; i < open.size(); ++i) {
      std::copy_n(centroids_ + open[i] * dim, dim,
                  targets.data() + static_cast<std::int64_t>(i) * dim);
    }
    std::vector<float> values(moves.size() * static_cast<std::size_t>(dim));
    std::vector<std::int32_t> own(moves.size()), found(moves.size(), -1);
    for (std::int64_t i = 0; i < n; ++i) {
      std::copy_n(rows_.row(moves[i].row), dim, values.data() + i * dim);
      own[i] = moves[i].target;
    }
    const FloatRows leaving{values.data(), n, dim};
    std::vector<double> now(moves.size());
    std::vector<double> then(moves.size(), std::numeric_limits<double>::infinity());
    own_distances(leaving, centroids_, own.data(), n_threads_, now.data());
    const auto k_open = std::ssize(open);
    make_nearest(leaving, k_open, n_threads_)
        ->improve(targets.data(), k_open, 0, found.data(), then.data());
    for (std::int64_t i = 0; i < n; ++i) {
      moves[i].target = open[found[i]];
      moves[i].loss = then[i] - now[i];
    }
    return moves;
  }

  // What many rounds could not place (thousands of equal rows, say) goes where there is room.
  void fill_in_order() {
    std::int32_t open = 0;
    for (std::int64_t r = 0; r < rows_.n; ++r) {
      if (counts_[labels_[r]] <= most_) continue;
      while (counts_[open] >= most_) ++open;
      --counts_[labels_[r]];
      ++counts_[open];
      labels_[r] = open;
    }
  }

  const FloatRows& rows_;
  const float* centroids_;
  std::int64_t k_;
  std::int64_t most_;
  int n_threads_;
  std::int32_t* labels_;
  std::vector<std::int64_t> counts_;
};

}  // namespace

void balance(const FloatRows& rows, const float* centroids, std::int64_t k, std::int64_t most,
             int n_threads, std::int32_t* labels) {
  Balance(rows, centroids, k, most, n_threads, labels).run();
}

}  // namespace vl
