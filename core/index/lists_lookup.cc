// SPDX-License-Identifier: Apache-2.0
#include "index/lists_lookup.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/threads.h"
#include "index/lists_probes.h"
#include "simd/lookup.h"

namespace vl {
namespace {

constexpr std::int64_t kBlock = 512;   // rows summed at a time
constexpr std::int64_t kQueries = 16;  // of a task
constexpr int kEntries = 256;
constexpr std::size_t kRoom = 256;  // proposals beyond the width before the least are dropped

struct Proposal {
  float value;
  std::int64_t position;
};

bool before(const Proposal& a, const Proposal& b) {
  return a.value > b.value || (a.value == b.value && a.position < b.position);
}

// The `width` best of what is offered.
class Best {
 public:
  explicit Best(std::int64_t width) : width_(static_cast<std::size_t>(width)) {
    places_.reserve(2 * width_ + kRoom);
  }
  void start() {
    places_.clear();
    least_ = -std::numeric_limits<float>::infinity();
  }
  // Equal values stay: which of them does is settled by their positions.
  void offer(float value, std::int64_t position) {
    if (!(value >= least_)) return;
    places_.push_back({value, position});
    if (places_.size() >= 2 * width_ + kRoom) cut();
  }
  float least() const { return least_; }
  void finish(std::int64_t* positions) {
    if (places_.size() > width_) cut();
    for (std::size_t i = 0; i < places_.size(); ++i) positions[i] = places_[i].position;
  }

 private:
  void cut() {
    const auto last = places_.begin() + static_cast<std::ptrdiff_t>(width_ - 1);
    std::nth_element(places_.begin(), last, places_.end(), before);
    least_ = last->value;
    places_.resize(width_);
  }

  std::size_t width_;
  float least_ = 0.0F;
  std::vector<Proposal> places_;
};

class Scan {
 public:
  Scan(const LookupLists& lists, const LookupQuery& query, std::int64_t width)
      : lists_(lists),
        query_(query),
        best_(width),
        table_(static_cast<std::size_t>(lists.n_parts * kEntries)) {}

  // The products of a query with all words, a dimension after the other: a whole product of
  // matrices would take longer to lay its operands out where queries come one by one.
  void prepare(std::int64_t q) {
    const float* values = query_.values + q * lists_.n_parts * lists_.width;
    const float* column = lists_.columns;
    for (int part = 0; part < lists_.n_parts; ++part) {
      float* to = table_.data() + static_cast<std::ptrdiff_t>(part) * kEntries;
      std::fill_n(to, kEntries, 0.0F);
      for (std::int64_t d = 0; d < lists_.width; ++d, column += kEntries) {
        const float value = *values++;
        for (int i = 0; i < kEntries; ++i) to[i] += value * column[i];
      }
    }
  }

  void search(std::int64_t q, const Probes& probes, std::int64_t at, std::int64_t* positions) {
    best_.start();
    prepare(q);
    probes.each_list_of(at, [&](std::int64_t list) {
      const float base = query_.products[q * lists_.n_lists + list];
      const std::int64_t end = lists_.starts[list + 1];
      for (std::int64_t first = lists_.starts[list]; first < end; first += kBlock) {
        scan(base, first, std::min(kBlock, end - first));
      }
    });
    best_.finish(positions);
  }

 private:
  void scan(float base, std::int64_t first, std::int64_t n) {
    lookup_kernels().bytes_one(table_.data(), lists_.n_parts, kEntries,
                               lists_.codes + first * lists_.n_parts, lists_.n_parts, n, values_);
    const float* squares = lists_.squares + first;
    if (lists_.metric == Metric::kIp) {
      for (std::int64_t i = 0; i < n; ++i) values_[i] += base;
    } else if (lists_.metric == Metric::kL2) {
      for (std::int64_t i = 0; i < n; ++i) values_[i] = 2.0F * (values_[i] + base) - squares[i];
    } else {
      for (std::int64_t i = 0; i < n; ++i) {
        values_[i] = (values_[i] + base) / std::sqrt(std::max(squares[i], 1e-30F));
      }
    }
    const std::int64_t* order = lists_.order + first;
    for (std::int64_t i = 0; i < n; ++i) {
      if (!(values_[i] >= best_.least())) continue;
      if (query_.mask != nullptr && query_.mask[order[i]] == 0) continue;
      best_.offer(values_[i], order[i]);
    }
  }

  const LookupLists& lists_;
  const LookupQuery& query_;
  Best best_;
  std::vector<float> table_;
  float values_[kBlock];
};

}  // namespace

void propose_by_lookup(const LookupLists& lists, const LookupQuery& query, std::int64_t width,
                       std::int64_t* positions) {
  std::fill_n(positions, query.n_queries * width, std::int64_t{-1});
  if (width == 0 || lists.n_lists == 0) return;
  parallel_for((query.n_queries + kQueries - 1) / kQueries, resolve_jobs(query.n_jobs),
               [&](std::int64_t task, int) {
                 const std::int64_t first = task * kQueries;
                 const std::int64_t last = std::min(query.n_queries, first + kQueries);
                 Probes probes(last - first, lists.n_lists);
                 Scan scan(lists, query, width);
                 std::vector<float> nearness(static_cast<std::size_t>(lists.n_lists));
                 for (std::int64_t q = first; q < last; ++q) {
                   poll_interrupt();
                   const float* products = query.products + q * lists.n_lists;
                   for (std::int64_t j = 0; j < lists.n_lists; ++j) {
                     nearness[static_cast<std::size_t>(j)] =
                         lists.metric == Metric::kL2 ? 2.0F * products[j] - query.centre_squares[j]
                                                     : products[j];
                   }
                   const float reference = probes.reference(nearness.data());
                   probes.add(nearness.data(), query.n_probes, reference - query.gaps[q]);
                   scan.search(q, probes, q - first, positions + q * width);
                 }
               });
}

}  // namespace vl
