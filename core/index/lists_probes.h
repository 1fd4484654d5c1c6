// SPDX-License-Identifier: Apache-2.0
// Which lists each query of a block probes.
#pragma once

#include <cstdint>
#include <vector>

namespace vl {

class Probes {
 public:
  static constexpr int kReference = 5;

  Probes(std::int64_t n_queries, std::int64_t n_lists);

  // Of the next query, whose kReference largest have the mean `reference`. Lists as near as `least`
  // and the nearest one, or the n_probes nearest where that is above 0.
  void add(const float* nearness, std::int64_t n_probes, float least);
  float reference(const float* nearness);

  // Visits every (list, queries that probe it), lists in order, queries ascending.
  template <class Visit>
  void each_list(const Visit& visit) {
    sort();
    std::int64_t begin = 0;
    for (std::int64_t list = 0; list < n_lists_; ++list) {
      const std::int64_t end = ends_[static_cast<std::size_t>(list)];
      if (end > begin) visit(list, members_.data() + begin, end - begin);
      begin = end;
    }
  }

  // Visits the lists of a query, in order.
  template <class Visit>
  void each_list_of(std::int64_t q, const Visit& visit) const {
    const auto row = static_cast<std::size_t>(q);
    for (std::int64_t i = starts_[row]; i < starts_[row + 1]; ++i) {
      visit(static_cast<std::int64_t>(lists_[static_cast<std::size_t>(i)]));
    }
  }

  // Of a row that stands in `list`, which q probes, and in `other`, which it may probe too: whether
  // `list` is where it is looked at.
  bool looked_at_in(std::int64_t q, std::int64_t list, std::int64_t other) const {
    const std::uint64_t word = probed_[static_cast<std::size_t>(q * words_ + other / 64)];
    return list < other || ((word >> (other % 64)) & 1) == 0;
  }

 private:
  void sort();

  std::int64_t n_lists_, words_;
  std::vector<std::int64_t> starts_{0};
  std::vector<std::int32_t> lists_;    // of query q: from starts_[q] on
  std::vector<std::uint64_t> probed_;  // (n_queries, words_): one bit a list
  std::vector<std::int64_t> ends_, members_;
  std::vector<float> copy_;
  std::int64_t nearest_ = 0;  // of the query whose reference was asked for
};

}  // namespace vl
