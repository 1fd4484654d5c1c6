// SPDX-License-Identifier: Apache-2.0
// Steps of a training that have the same bits at any number of threads. A step has two phases: each
// lane computes its gradients from the rows as they are, lanes in parallel; then the rows are moved
// lane after lane, each thread on its own part of every row. No sum depends on who does what.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

namespace vl {

struct OrderedSteps {
  std::int64_t begin, end;  // steps to do
  std::int64_t n_lanes;
  int n_parts;  // of a row; so many threads are used
  std::function<void(std::int64_t step, std::int64_t lane)> prepare;
  std::function<void(std::int64_t step, int part)> move;
};

// No interrupt is looked for in between: a call that ends has done all its steps.
void run_ordered_steps(const OrderedSteps& steps);

}  // namespace vl
