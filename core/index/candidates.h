// SPDX-License-Identifier: Apache-2.0
// What one query may still return while rows stream by. Fast paths add rows with an approximate
// value v and a promise: |v - true value| <= slack. The collector keeps the largest lower bound of
// the k-th best value as its threshold, forgets what cannot reach it, and settles the rest with
// exact scores.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "index/scoring.h"

namespace vl {

struct Scored {
  double score;
  std::int64_t tie;  // among equal scores the smaller comes first
  std::int64_t row;
};

inline bool better(const Scored& a, const Scored& b) {
  return a.score > b.score || (a.score == b.score && a.tie < b.tie);
}

// The true value is score * multiply + add; the error of an approximate value v is at most
// absolute + relative * |v|.
struct ValueScale {
  double multiply = 1.0;
  double add = 0.0;
  double absolute = 0.0;
  double relative = 0.0;
};

class Candidates {
 public:
  // The k best. `room` values beyond k are gathered before the threshold is raised.
  void start_top(std::int64_t k, const std::int64_t* ties, const ValueScale& scale,
                 std::size_t room = 64);
  // All whose exact score is at least `least`.
  void start_range(double least, const std::int64_t* ties, const ValueScale& scale);

  // Values added from now on may be wrong by up to `absolute`.
  void widen(double absolute) {
    if (absolute > scale_.absolute) scale_.absolute = absolute;
  }
  // Nothing below this will be asked of the collector: another one knows better already.
  void raise(double threshold) {
    if (threshold > threshold_) threshold_ = threshold;
  }

  // Values whose upper bound is below this cannot matter. Never decreases.
  double threshold() const { return threshold_; }
  double upper(double v) const { return v + scale_.absolute + scale_.relative * (v < 0 ? -v : v); }

  // A float32 value below this cannot matter either: one comparison in place of upper().
  float cut() const {
    const double bare = threshold_ - scale_.absolute;
    const double low = bare - 2.0 * (scale_.relative + 0x1p-22) * (bare < 0 ? -bare : bare);
    return static_cast<float>(low);
  }

  // True when the caller must tighten() before adding more.
  bool add(std::int64_t row, double v) {
    if (upper(v) < threshold_) return false;
    pending_.push_back({static_cast<float>(v), static_cast<std::uint32_t>(row)});
    return pending_.size() >= capacity_;
  }

  // Raises the threshold by bounds alone; true when they left so much that settle() is due.
  bool tighten();
  // Replaces pending values by exact scores.
  void settle(const Scorer& scorer);
  // Scores rows exactly at once, without a fast path before.
  void add_exact(const std::int64_t* rows, std::int64_t n, const Scorer& scorer);
  void absorb(Candidates& other);
  // Drops what the last thresholds rule out, so that only what finish() will score is pending.
  void narrow();
  // Visits the rows that may have to be scored yet.
  template <class Visit>
  void each_pending(const Visit& visit) const {
    for (const Pending& p : pending_) {
      if (upper(p.value) >= threshold_) visit(static_cast<std::int64_t>(p.row));
    }
  }
  // Moves out the rows that may still be among the best: their scores are the caller's work, and
  // none were settled here.
  void drain(std::vector<std::int64_t>& rows);
  // Settles all and sorts best first.
  std::vector<Scored>& finish(const Scorer& scorer);

 private:
  // Half the size of float64 and int64: a neighbour graph keeps a collector a row. The rounding of
  // the value is part of `relative`; indexes hold fewer than 2^32 rows.
  struct Pending {
    float value;
    std::uint32_t row;
  };

  double lower(double v) const { return v - scale_.absolute - scale_.relative * (v < 0 ? -v : v); }
  void prune();
  void keep_best();

  std::int64_t k_ = 0;
  bool range_ = false;
  double least_ = 0.0;
  const std::int64_t* ties_ = nullptr;
  ValueScale scale_;
  double threshold_ = -std::numeric_limits<double>::infinity();
  std::size_t room_ = 64;
  std::size_t capacity_ = 0;
  std::vector<Pending> pending_;
  std::vector<Scored> best_;
};

}  // namespace vl
