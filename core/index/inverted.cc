// SPDX-License-Identifier: Apache-2.0
#include "index/inverted.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "base/threads.h"

namespace vl {

Postings::Postings(const SparseRows& rows, std::int64_t n_terms, int n_jobs)
    : starts_(static_cast<std::size_t>(n_terms) + 1),
      low_(static_cast<std::size_t>(rows.starts[rows.n])),
      high_(static_cast<std::size_t>(rows.starts[rows.n])),
      values_(static_cast<std::size_t>(rows.starts[rows.n])),
      steps_(static_cast<std::size_t>(n_terms)),
      marked_(static_cast<std::size_t>(n_terms)) {
  arrays_.n_terms = n_terms;
  arrays_.n = rows.n;
  parallel_for(1, 1, [&](std::int64_t, int) { fill(rows); });
  mark(n_jobs);
  arrays_.starts = starts_.data();
  arrays_.low = low_.data();
  arrays_.high = high_.data();
  arrays_.values = values_.data();
  arrays_.steps = steps_.data();
  arrays_.marked = marked_.data();
  arrays_.marks = marks_.data();
}

// A counting sort by term keeps the order of rows.
void Postings::fill(const SparseRows& rows) {
  const auto n_terms = static_cast<std::size_t>(arrays_.n_terms);
  std::memset(starts_.data(), 0, (n_terms + 1) * sizeof(std::int64_t));
  std::memset(steps_.data(), 0, n_terms * sizeof(float));
  for (std::int64_t i = 0; i < rows.starts[rows.n]; ++i) {
    ++starts_[static_cast<std::size_t>(rows.terms[i]) + 1];
    float& top = steps_[static_cast<std::size_t>(rows.terms[i])];
    top = std::max(top, rows.weights[i]);
  }
  for (std::size_t t = 0; t < n_terms; ++t) {
    starts_[t + 1] += starts_[t];
    // A step too large by a rounding keeps v within 255.
    steps_[t] = std::nextafter(steps_[t] / 255.0F, 2.0F * steps_[t]);
  }
  std::vector<std::int64_t> next(starts_.data(), starts_.data() + n_terms);
  for (std::int64_t r = 0; r < rows.n; ++r) {
    if (r % 65536 == 0) poll_interrupt();
    for (std::int64_t i = rows.starts[r]; i < rows.starts[r + 1]; ++i) {
      const auto t = static_cast<std::size_t>(rows.terms[i]);
      const auto at = static_cast<std::size_t>(next[t]++);
      const double steps = static_cast<double>(rows.weights[i]) / static_cast<double>(steps_[t]);
      low_[at] = static_cast<std::uint16_t>(r & 0xFFFF);
      high_[at] = static_cast<std::uint16_t>(r >> 16);
      values_[at] = static_cast<std::uint8_t>(std::clamp(std::ceil(steps), 1.0, 255.0));
    }
  }
}

void Postings::mark(int n_jobs) {
  std::int64_t n_marked = 0;
  for (std::int64_t t = 0; t < arrays_.n_terms; ++t) {
    const auto at = static_cast<std::size_t>(t);
    const bool is = starts_[at + 1] - starts_[at] >= kMarkedFrom;
    marked_[at] = is ? static_cast<std::int32_t>(n_marked++) : -1;
  }
  arrays_.n_marked = n_marked;
  const auto windows = static_cast<std::size_t>(arrays_.n_windows());
  marks_ = AlignedBuffer<std::uint32_t>(static_cast<std::size_t>(n_marked) * (windows + 1));
  constexpr std::int64_t kTerms = 256;  // of a task
  parallel_for((arrays_.n_terms + kTerms - 1) / kTerms, n_jobs, [&](std::int64_t task, int) {
    const std::int64_t last = std::min(arrays_.n_terms, (task + 1) * kTerms);
    for (std::int64_t t = task * kTerms; t < last; ++t) {
      if (marked_[static_cast<std::size_t>(t)] >= 0) mark(static_cast<std::size_t>(t));
    }
  });
}

// Cuts a list into windows and sorts each by value. A window lies within one `high`.
void Postings::mark(std::size_t term) {
  const auto windows = static_cast<std::size_t>(arrays_.n_windows());
  const auto first = static_cast<std::size_t>(starts_[term]);
  const auto last = static_cast<std::size_t>(starts_[term + 1]);
  std::uint32_t* marks = marks_.data() + static_cast<std::size_t>(marked_[term]) * (windows + 1);
  std::vector<std::pair<std::uint8_t, std::uint16_t>> sorted;
  std::size_t at = first;
  for (std::size_t w = 0; w < windows; ++w) {
    marks[w] = static_cast<std::uint32_t>(at - first);
    const std::size_t begin = at;
    const auto end = static_cast<std::int64_t>(w + 1) * kWindow;
    sorted.clear();
    for (; at < last && (static_cast<std::int64_t>(high_[at]) << 16 | low_[at]) < end; ++at)
      sorted.emplace_back(values_[at], low_[at]);
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return a.first > b.first || (a.first == b.first && a.second < b.second);
    });
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      values_[begin + i] = sorted[i].first;
      low_[begin + i] = sorted[i].second;
    }
  }
  marks[windows] = static_cast<std::uint32_t>(last - first);
}

}  // namespace vl
