// SPDX-License-Identifier: Apache-2.0
// Candidates from a Screen: int8 block products under the bound derived in screen.h.
// Cost: head_groups * 4 bytes a row read once per sweep and as many multiply-adds of bytes a query,
// and what the head cannot rule out once more over the groups after it.
#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "index/screen_queries.h"
#include "index/source.h"

namespace vl {
namespace {

class ScreenSource final : public Source {
 public:
  explicit ScreenSource(const ExactQuery& query)
      : query_(query),
        screen_(*query.screen),
        queries_(screen_, static_cast<const float*>(query.queries), query.n_queries, query.n_jobs) {
  }
  ValueScale value_scale(std::int64_t q) const override;
  void sweep(std::int64_t first_query, int n, std::int64_t first_row, std::int64_t last_row,
             Candidates* candidates, const Scorer* scorers) const override;
  int queries_per_sweep() const override { return ScreenQueries::per_sweep(screen_); }
  double row_cost() const override { return 0.004 * static_cast<double>(screen_.rotated_dim()); }

 private:
  float limit(std::int64_t q, double threshold, const BlockMaxima& block) const;
  void sweep_block(std::int64_t first_query, int n, std::int64_t block, std::int64_t last_row,
                   Candidates* candidates, const Scorer* scorers, ScreenScratch& scratch) const;

  const ExactQuery& query_;
  const Screen& screen_;
  ScreenQueries queries_;
};

float ScreenSource::limit(std::int64_t q, double threshold, const BlockMaxima& block) const {
  return static_cast<float>((threshold - queries_.slack(q, block)) / queries_.terms(q).step);
}

ValueScale ScreenSource::value_scale(std::int64_t q) const {
  ValueScale scale;
  if (query_.metric == Metric::kCosine) scale.multiply = std::sqrt(queries_.terms(q).square);
  if (query_.metric == Metric::kL2) scale.add = queries_.terms(q).square;
  scale.absolute = queries_.slack(q);
  return scale;
}

void ScreenSource::sweep_block(std::int64_t first_query, int n, std::int64_t block,
                               std::int64_t last_row, Candidates* candidates, const Scorer* scorers,
                               ScreenScratch& scratch) const {
  const ScreenShape& shape = screen_.shape();
  const BlockMaxima& maxima = screen_.blocks()[block];
  for (int i = 0; i < n; ++i) {
    scratch.limits[static_cast<std::size_t>(i)] =
        limit(first_query + i, candidates[i].threshold(), maxima);
  }
  PanelQueries queries = queries_.panel_queries(first_query, n);
  queries.limit = scratch.limits.data();
  queries.survivor_values = scratch.survivor_values.data();
  queries.survivors = scratch.survivors.data();
  const std::int64_t begin = block * kScreenBlock;
  const std::int64_t end = std::min(last_row, begin + kScreenBlock);
  const PanelFilter filter = panel_kernels().filter_int8;
  for (std::int64_t row = begin; row < end; row += 2 * kPanelRows) {
    const std::int64_t n_hits = filter(queries, queries_.panel_pair(row), shape.head_groups,
                                       shape.groups - shape.head_groups, scratch.hits.data());
    for (std::int64_t h = 0; h < n_hits; ++h) {
      const PanelHit& hit = scratch.hits[static_cast<std::size_t>(h)];
      const std::int64_t q = first_query + hit.query;
      Candidates& mine = candidates[hit.query];
      if (!admits(query_, q, row + hit.row)) continue;
      if (!mine.add(row + hit.row, static_cast<double>(hit.value) * queries_.terms(q).step))
        continue;
      if (mine.tighten()) mine.settle(scorers[hit.query]);
      scratch.limits[hit.query] = limit(q, mine.threshold(), maxima);
    }
  }
}

void ScreenSource::sweep(std::int64_t first_query, int n, std::int64_t first_row,
                         std::int64_t last_row, Candidates* candidates,
                         const Scorer* scorers) const {
  ScreenScratch scratch(n);
  for (std::int64_t row = first_row; row < last_row; row += kScreenBlock) {
    poll_interrupt();
    sweep_block(first_query, n, row / kScreenBlock, last_row, candidates, scorers, scratch);
  }
}

}  // namespace

std::unique_ptr<Source> make_screen_source(const ExactQuery& query) {
  return std::make_unique<ScreenSource>(query);
}

}  // namespace vl
