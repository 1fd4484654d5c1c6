// SPDX-License-Identifier: Apache-2.0
// The second round of the build: each node walks the first graph, from itself, with its own int8
// codes as the digits of a query. What block products of near lists missed is a few edges away.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/threads.h"
#include "index/graph_walk.h"
#include "simd/pair.h"

namespace vl {

void Graph::refine(const BlockCodes& block, std::int64_t k, int n_threads, Neighbour* out) const {
  constexpr std::int64_t kBlock = 256;
  parallel_for((n() + kBlock - 1) / kBlock, n_threads, [&](std::int64_t task, int) {
    const Lease lease(*this);
    Worker& worker = *lease;
    for (std::int64_t p = task * kBlock; p < std::min(n(), (task + 1) * kBlock); ++p) {
      const auto at = static_cast<std::size_t>(p);
      const std::int8_t* codes = block.rows.data() + p * block.row_bytes;
      head_.prepare_digits(codes, block.step[at], worker.head);
      worker.start(n(), static_cast<std::size_t>(links_.width()), k + 1);
      worker.mark(static_cast<std::uint32_t>(p));
      worker.buffer.insert(std::numeric_limits<float>::max(), static_cast<std::uint32_t>(p));
      walk<false>(nullptr, worker);
      const auto found = static_cast<std::size_t>(worker.buffer.count() - 1);  // without p
      worker.rows.resize(found);
      worker.dots.resize(found);
      for (std::size_t i = 0; i < found; ++i) {
        worker.rows[i] = worker.buffer.node(static_cast<std::int64_t>(i) + 1);
      }
      pair_kernels().ip_i8(codes, block.rows.data(), worker.rows.data(),
                           static_cast<std::int64_t>(found), block.row_bytes, worker.dots.data());
      Neighbour* to = out + p * k;
      for (std::size_t i = 0; i < found; ++i) {
        const auto c = static_cast<std::size_t>(worker.rows[i]);
        const float product = static_cast<float>(worker.dots[i]) * block.step[c] * block.step[at];
        const float d = block.square[at] + block.square[c] - 2.0f * product;
        to[i] = {std::max(d, 0.0f), static_cast<std::uint32_t>(c)};
      }
      std::sort(to, to + found);
      for (auto i = static_cast<std::int64_t>(found); i < k; ++i) {
        to[i] = {std::numeric_limits<float>::infinity(), kNoNode};
      }
    }
  });
}

}  // namespace vl
