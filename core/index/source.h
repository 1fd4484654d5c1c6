// SPDX-License-Identifier: Apache-2.0
// Ways to propose rows to Candidates, each with its own bound. One file a source.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "index/candidates.h"
#include "index/exact.h"

namespace vl {

class Source {
 public:
  virtual ~Source() = default;
  // How approximate values of query q relate to its scores, and how wrong they can be.
  virtual ValueScale value_scale(std::int64_t q) const = 0;
  // Offers rows [first_row, last_row) to queries [first_query, first_query + n): candidates[i] and
  // scorers[i] belong to query first_query + i. Rows start at a multiple of kScreenBlock, queries
  // at one of kQueryPad. Called by several threads at once.
  virtual void sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
                     Candidates* candidates, const Scorer* scorers) const = 0;
  // Queries a sweep can take without falling out of the L2 cache.
  virtual int queries_per_sweep() const = 0;
  // Approximate nanoseconds for one query against one row, to size tasks.
  virtual double row_cost() const = 0;
};

std::unique_ptr<Source> make_screen_source(const ExactQuery& query);
std::unique_ptr<Source> make_direct_source(const ExactQuery& query);
// Panels packed on the fly from the rows themselves, for batches where there is no screen.
std::unique_ptr<Source> make_panel_source(const ExactQuery& query,
                                          const std::vector<Scorer>& scorers);
// One row after the other through the pair kernels, for few queries where there is no screen, and
// bits.
std::unique_ptr<Source> make_scan_source(const ExactQuery& query,
                                         const std::vector<Scorer>& scorers);

// True when the row may be returned to that query.
inline bool admits(const ExactQuery& query, std::int64_t q, std::int64_t row) {
  if (row >= query.rows.n) return false;
  if (query.mask != nullptr && query.mask[row] == 0) return false;
  return query.exclude == nullptr || query.exclude[q] != row;
}

}  // namespace vl
