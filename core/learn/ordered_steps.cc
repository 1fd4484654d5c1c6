// SPDX-License-Identifier: Apache-2.0
// Threads go through the phases together, two a step: whoever is there takes what is left of a
// phase, and the next one begins when the last item of it is done. One thread alone does it all.
#include "learn/ordered_steps.h"

#include <thread>

#include "base/threads.h"

namespace vl {
namespace {

constexpr int kSpins = 2000;  // about a microsecond, before a thread that waits gives its CPU away

}  // namespace

void run_ordered_steps(const OrderedSteps& steps) {
  const std::int64_t n_phases = 2 * (steps.end - steps.begin);
  std::vector<std::atomic<std::int64_t>> claimed(static_cast<std::size_t>(n_phases));
  std::vector<std::atomic<std::int64_t>> done(static_cast<std::size_t>(n_phases));
  std::atomic<bool> failed{false};
  const auto work_on = [&](std::int64_t phase, std::int64_t item) {
    const std::int64_t step = steps.begin + phase / 2;
    if (phase % 2 == 0) {
      steps.prepare(step, item);
    } else {
      steps.move(step, static_cast<int>(item));
    }
  };
  parallel_for(steps.n_parts, steps.n_parts, [&](std::int64_t, int) {
    for (std::int64_t phase = 0; phase < n_phases; ++phase) {
      const auto p = static_cast<std::size_t>(phase);
      const std::int64_t n_items = phase % 2 == 0 ? steps.n_lanes : steps.n_parts;
      std::int64_t item = 0;
      while ((item = claimed[p].fetch_add(1)) < n_items) {
        try {
          work_on(phase, item);
        } catch (...) {
          failed.store(true);  // nobody waits for what will not be done
          throw;
        }
        done[p].fetch_add(1);
      }
      for (int spins = 0; done[p].load() < n_items; ++spins) {
        if (failed.load(std::memory_order_relaxed)) return;
        if (spins > kSpins) std::this_thread::yield();
      }
    }
  });
}

}  // namespace vl
