// SPDX-License-Identifier: Apache-2.0
#include "index/maxsim_reach.h"

#include <algorithm>
#include <limits>

#include "simd/panel.h"

namespace vl {
namespace {

constexpr std::int64_t kPairRows = kPanelsPerCall * kPanelRows;
constexpr float kNone = -std::numeric_limits<float>::infinity();

// The runs of the items from `item` on, below `last`, in the pair of panels that begins at `row`.
// Leaves the first item that goes on behind the pair in `item`. False where there is none.
bool runs_of_pair(const MaxSimItems& items, std::int64_t row, std::int64_t first, std::int64_t last,
                  std::int64_t& item, PanelRuns& runs) {
  for (int panel = 0; panel < kPanelsPerCall; ++panel) {
    const std::int64_t begin = row + panel * kPanelRows;
    const std::int64_t end = begin + kPanelRows;
    runs.count[panel] = 0;
    while (item < last && items.offsets[item] < end) {
      const auto from = std::max<std::int64_t>(items.offsets[item] - begin, 0);
      const auto to = std::min<std::int64_t>(items.offsets[item + 1] - begin, kPanelRows);
      const bool ends = items.offsets[item + 1] <= end;
      if (admitted(items, item)) {
        const std::uint32_t lanes = ((1U << to) - 1U) & ~((1U << from) - 1U);
        runs.runs[panel * kPanelRows + runs.count[panel]++] = {
            lanes, ends, static_cast<std::int32_t>(item - first)};
      }
      if (!ends) break;
      ++item;
    }
  }
  return runs.count[0] + runs.count[1] > 0;
}

}  // namespace

ReachScratch::ReachScratch(std::int64_t n_vectors)
    : open_(static_cast<std::size_t>(n_vectors * kPanelRows)) {
  std::fill_n(open_.data(), open_.size(), kNone);
}

void find_reach(const MaxSimItems& items, const ScreenQueries& coded, std::int64_t n_vectors,
                std::int64_t first, std::int64_t last, Reach kind, ReachScratch& scratch,
                float* best) {
  const ScreenShape& shape = items.screen->shape();
  const std::int64_t width = last - first;
  std::fill_n(best, n_vectors * width, kNone);
  PanelQueries queries = coded.panel_queries(0, static_cast<int>(n_vectors));
  const int rest = shape.groups - shape.head_groups;
  if (kind == Reach::kEstimate || rest == 0) queries.tail = nullptr;
  const PanelReach reach = panel_kernels().reach_int8;
  const std::int64_t end = items.offsets[last];
  std::int64_t item = first;
  PanelRuns runs;
  for (std::int64_t row = items.offsets[first] / kPairRows * kPairRows; row < end;
       row += kPairRows) {
    if (!runs_of_pair(items, row, first, last, item, runs)) continue;
    reach(queries, coded.panel_pair(row), shape.head_groups, kind == Reach::kEstimate ? rest : 0,
          runs, scratch.open(), best, width);
  }
}

}  // namespace vl
