// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "base/threads.h"
#include "index/inverted.h"
#include "index/inverted_best.h"
#include "simd/sums.h"

namespace vl {
namespace {

constexpr std::int64_t kMostUnits = 65000;
// Postings that are added in the time it takes to score a row, when it must be fetched first.
constexpr std::int64_t kRowCost = 120;
// Fewer postings are added faster than anything is decided about them.
constexpr std::int64_t kWorthLeaving = 512;

// A list that the query asks for, and its part in the present window.
struct Cursor {
  const std::uint16_t* low;
  const std::uint16_t* high;
  const std::uint8_t* values;
  const std::uint32_t* marks;
  std::int64_t n;             // postings
  std::uint8_t least;         // smaller values are left out
  std::int64_t first, count;  // in the window
  std::int32_t here;          // units of the largest value in the window
  std::uint16_t units[256];
};

struct Loose {  // a posting of a list without marks
  std::uint32_t row;
  std::uint16_t units;
};

class Walk {
 public:
  Walk(const Postings& postings, const SparseSearch& search)
      : postings_(postings.arrays()),
        search_(search),
        query_(DenseQuery::of_thread(postings.arrays().n_terms)),
        sums_(kWindow),
        places_(kWindow),
        kernels_(sums_kernels()) {
    std::memset(sums_.data(), 0, kWindow * sizeof(std::uint16_t));
  }

  void answer(std::int64_t at, const SparseAnswer& answer) {
    query_.set(search_.queries, at);
    const bool fits = open(at);
    best_.start(search_.k, search_.rescored);
    if (!fits || (search_.mask != nullptr && search_.n_matches * kRowCost < total_)) {
      score_all(0);
    } else {
      for (std::int64_t w = 0; w < postings_.n_windows(); ++w) window(w);
      score_all(postings_.n);
    }
    best_.finish(search_, query_, at, answer);
    query_.clear();
  }

 private:
  // False: a query of so many terms that their units leave nothing to tell.
  bool open(std::int64_t at) {
    cursors_.clear();
    loose_.clear();
    total_ = 0;
    error_ = 0;
    const SparseRows& q = search_.queries;
    const std::int64_t n_terms = q.starts[at + 1] - q.starts[at];
    double bound = 0.0;
    for (std::int64_t i = q.starts[at]; i < q.starts[at + 1]; ++i) {
      bound += static_cast<double>(q.weights[i]) *
               static_cast<double>(postings_.steps[q.terms[i]]) * 255.0;
    }
    if (n_terms > kMostUnits / 8 || !(bound > 0.0)) return bound == 0.0;
    unit_ = bound / static_cast<double>(kMostUnits - 2 * n_terms);
    if (!(unit_ > 0.0)) return false;
    const double least = search_.rescored > 0 ? search_.skip * kMostUnits : 0.0;
    for (std::int64_t i = q.starts[at]; i < q.starts[at + 1]; ++i) {
      const auto t = static_cast<std::size_t>(q.terms[i]);
      const std::int64_t n = postings_.starts[t + 1] - postings_.starts[t];
      if (n == 0) continue;
      const double scale =
          static_cast<double>(q.weights[i]) * static_cast<double>(postings_.steps[t]) / unit_;
      error_ += static_cast<std::int32_t>(std::ceil(scale)) + 2;
      if (scale * 255.0 < least) continue;
      total_ += n;
      if (postings_.marked[t] < 0) {
        open_loose(t, scale);
      } else {
        open_list(t, scale, least);
      }
    }
    std::sort(loose_.begin(), loose_.end(),
              [](const Loose& a, const Loose& b) { return a.row < b.row; });
    next_loose_ = 0;
    std::sort(cursors_.begin(), cursors_.end(), [](const Cursor& a, const Cursor& b) {
      return a.units[255] < b.units[255] || (a.units[255] == b.units[255] && a.low < b.low);
    });
    return true;
  }

  // scale in 16 binary places, rounded up: units of a step. Together all terms stay below 2^16.
  static std::uint32_t slope_of(double scale) {
    return static_cast<std::uint32_t>(std::ceil(scale * 65536.0 * (1.0 + 0x1p-50)));
  }
  static std::uint16_t units_of(std::uint32_t slope, std::uint32_t value) {
    return static_cast<std::uint16_t>((slope * value + 0xFFFFu) >> 16);
  }

  void open_loose(std::size_t t, double scale) {
    const std::uint32_t slope = slope_of(scale);
    for (std::int64_t p = postings_.starts[t]; p < postings_.starts[t + 1]; ++p) {
      loose_.push_back(
          {static_cast<std::uint32_t>(postings_.row(p)), units_of(slope, postings_.values[p])});
    }
  }

  void open_list(std::size_t t, double scale, double least) {
    const std::int64_t first = postings_.starts[t];
    cursors_.emplace_back();
    Cursor& c = cursors_.back();
    c.low = postings_.low + first;
    c.values = postings_.values + first;
    c.n = postings_.starts[t + 1] - first;
    c.marks = postings_.marks + postings_.marked[t] * (postings_.n_windows() + 1);
    c.least = static_cast<std::uint8_t>(std::clamp(std::ceil(least / scale), 1.0, 255.0));
    const std::uint32_t slope = slope_of(scale);
    for (std::uint32_t v = 0; v < 256; ++v) c.units[v] = units_of(slope, v);
  }

  // Lists with postings in the window, smallest bound first; returns the sum of the bounds.
  std::int32_t enter(std::int64_t w) {
    here_.clear();
    std::int32_t total = 0;
    for (Cursor& c : cursors_) {
      if (w + 1 < postings_.n_windows()) fetch(c, c.marks[w + 1], c.marks[w + 2]);
      c.first = c.marks[w];
      c.count = c.marks[w + 1] - c.first;
      if (c.count == 0 || c.values[c.first] < c.least) continue;
      c.here = c.units[c.values[c.first]];
      here_.push_back(&c);
      total += c.here;
    }
    return total;
  }

  // Parts of lists are too short for the hardware to see what comes next.
  static void fetch(const Cursor& c, std::int64_t first, std::int64_t last) {
    last = std::min(last, first + 256);
    for (std::int64_t i = first; i < last; i += 32) __builtin_prefetch(c.low + i);
    for (std::int64_t i = first; i < last; i += 64) __builtin_prefetch(c.values + i);
  }

  void window(std::int64_t w) {
    const std::int64_t base = w * kWindow;
    const std::int32_t total = enter(w);
    const bool loose = add_loose(base);
    if (!loose && (here_.empty() || total < best_.cut())) return;
    std::int32_t rest = 0;  // what the lists left out can add
    std::int64_t left_out = 0;
    std::size_t skipped = 0;
    if (search_.rescored == 0) {
      while (skipped < here_.size() && (rest + here_[skipped]->here) * 3 < best_.cut()) {
        rest += here_[skipped]->here;
        left_out += here_[skipped++]->count;
      }
      if (left_out < kWorthLeaving) skipped = 0;
    }
    for (std::size_t i = skipped; i < here_.size(); ++i) add(*here_[i]);
    std::int64_t n = 0;
    if (skipped > 0) {
      n = candidates(base, rest);
      if (n * kRowCost > left_out) {
        for (; skipped > 0; --skipped) add(*here_[skipped - 1]);
      }
    }
    if (skipped == 0) {
      raise();
      n = candidates(base, 0);
    }
    if (skipped > 0) {
      score(n, base);
    } else {
      for (std::int64_t i = 0; i < n; ++i) {
        const std::uint16_t place = places_[static_cast<std::size_t>(i)];
        const std::int32_t upper = sums_[place];
        if (upper >= best_.cut()) best_.add(std::max(upper - error_, 0), upper, base + place);
      }
    }
    std::memset(sums_.data(), 0, kWindow * sizeof(std::uint16_t));
  }

  // While there are no k rows yet: as many as the k-th largest maximum of groups tells reach it.
  void raise() {
    const std::int64_t groups = kWindow / kSumsGroup;
    const std::int64_t k = best_.wanted();
    if (search_.mask != nullptr || best_.cut() > 1 || k > groups / 2) return;
    kernels_.maxima(sums_.data(), kWindow, places_.data());
    std::uint16_t* const kth = places_.data() + k - 1;
    std::nth_element(places_.data(), kth, places_.data() + groups, std::greater<>());
    best_.raise(search_.rescored > 0 ? *kth : *kth - error_);
  }

  bool add_loose(std::int64_t base) {
    const std::size_t before = next_loose_;
    for (; next_loose_ < loose_.size() && loose_[next_loose_].row < base + kWindow; ++next_loose_) {
      std::uint16_t& sum = sums_[loose_[next_loose_].row - static_cast<std::size_t>(base)];
      sum = static_cast<std::uint16_t>(sum + loose_[next_loose_].units);
    }
    return next_loose_ != before;
  }

  void add(const Cursor& c) {
    std::uint16_t* const sums = sums_.data();
    const std::uint16_t* const low = c.low + c.first;
    const std::uint8_t* const values = c.values + c.first;
    std::int64_t count = c.count;
    if (values[count - 1] < c.least) {
      count = std::partition_point(values, values + count,
                                   [&c](std::uint8_t v) { return v >= c.least; }) -
              values;
    }
    const auto add_one = [&](std::uint64_t row, std::uint64_t value) {
      std::uint16_t& sum = sums[row & (kWindow - 1)];
      sum = static_cast<std::uint16_t>(sum + c.units[value & 0xFF]);
    };
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) {  // one load for four rows, one for four values
      std::uint64_t rows;
      std::uint32_t four;
      std::memcpy(&rows, low + i, sizeof rows);
      std::memcpy(&four, values + i, sizeof four);
      add_one(rows, four);
      add_one(rows >> 16, four >> 8);
      add_one(rows >> 32, four >> 16);
      add_one(rows >> 48, four >> 24);
    }
    for (; i < count; ++i) add_one(low[i], values[i]);
  }

  // Places that may matter, those that the filter excludes left out.
  std::int64_t candidates(std::int64_t base, std::int32_t rest) {
    const std::int32_t least = std::clamp(best_.cut() - rest, 1, 65535);
    const std::int64_t n =
        kernels_.places(sums_.data(), kWindow, static_cast<std::uint16_t>(least), places_.data());
    if (search_.mask == nullptr) return n;
    std::int64_t kept = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::uint16_t place = places_[static_cast<std::size_t>(i)];
      places_[static_cast<std::size_t>(kept)] = place;
      kept += search_.mask[base + place] != 0 ? 1 : 0;
    }
    return kept;
  }

  void score(std::int64_t n, std::int64_t base) {
    for (std::int64_t i = 0; i < n; ++i)
      DenseQuery::prefetch(search_.rows, base + places_[static_cast<std::size_t>(i)]);
    for (std::int64_t i = 0; i < n; ++i) one_row(base + places_[static_cast<std::size_t>(i)]);
  }

  void one_row(std::int64_t row) {
    const double score = query_.score(search_.rows, row);
    if (!(score > 0.0)) return;
    if (!(unit_ > 0.0)) {
      best_.add(0, INT32_MAX, row);
      return;
    }
    // One unit to either side is more than the division can be wrong by.
    const double units = std::min(score / unit_, 1e9);
    const auto lower = static_cast<std::int32_t>(units * (1.0 - 1e-12)) - 1;
    best_.add(std::max(lower, 0), lower + 3, row);
  }

  void score_all(std::int64_t first) {
    for (std::int64_t r = first; r < search_.rows.n; ++r) {
      if (search_.mask == nullptr || search_.mask[r] != 0) one_row(r);
    }
  }

  const PostingArrays& postings_;
  const SparseSearch& search_;
  DenseQuery& query_;
  AlignedBuffer<std::uint16_t> sums_, places_;
  const SumsKernels& kernels_;
  std::vector<Cursor> cursors_;
  std::vector<Cursor*> here_;
  std::vector<Loose> loose_;
  std::size_t next_loose_ = 0;
  SparseBest best_;
  std::int64_t total_ = 0;
  std::int32_t error_ = 0;
  double unit_ = 0.0;
};

}  // namespace

void search_sparse(const Postings& postings, const SparseSearch& search,
                   const SparseAnswer& answer) {
  const std::int64_t n = search.queries.n;
  constexpr std::int64_t kQueries = 16;  // of a task
  std::vector<std::unique_ptr<Walk>> walks(static_cast<std::size_t>(search.n_jobs));
  parallel_for((n + kQueries - 1) / kQueries, search.n_jobs, [&](std::int64_t task, int worker) {
    auto& walk = walks[static_cast<std::size_t>(worker)];
    if (!walk) walk = std::make_unique<Walk>(postings, search);
    for (std::int64_t q = task * kQueries; q < std::min(n, (task + 1) * kQueries); ++q) {
      poll_interrupt();
      walk->answer(q, answer);
    }
  });
}

}  // namespace vl
