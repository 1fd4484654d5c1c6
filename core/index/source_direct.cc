// SPDX-License-Identifier: Apache-2.0
// Every admitted row in float64, without a fast path: tiny indexes, and values whose squares leave
// the range of float32.
#include <vector>

#include "index/source.h"

namespace vl {
namespace {

class DirectSource final : public Source {
 public:
  explicit DirectSource(const ExactQuery& query) : query_(query) {}
  ValueScale value_scale(std::int64_t) const override { return {}; }
  void sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
             Candidates* candidates, const Scorer* scorers) const override;
  int queries_per_sweep() const override { return 960; }
  double row_cost() const override {
    return 0.06 * static_cast<double>(query_.rows.stride()) + 20.0;
  }

 private:
  const ExactQuery& query_;
};

void DirectSource::sweep(std::int64_t first_query, int n, std::int64_t first_row,
                         std::int64_t last_row, Candidates* candidates,
                         const Scorer* scorers) const {
  std::vector<std::int64_t> rows;
  for (int i = 0; i < n; ++i) {
    rows.clear();
    for (std::int64_t row = first_row; row < last_row; ++row) {
      if (admits(query_, first_query + i, row)) rows.push_back(row);
    }
    candidates[i].add_exact(rows.data(), static_cast<std::int64_t>(rows.size()), scorers[i]);
  }
}

}  // namespace

std::unique_ptr<Source> make_direct_source(const ExactQuery& query) {
  return std::make_unique<DirectSource>(query);
}

}  // namespace vl
