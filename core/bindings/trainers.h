// SPDX-License-Identifier: Apache-2.0
// What the bindings of all trainers that go by steps have in common.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <optional>

#include "base/errors.h"
#include "learn/lanes.h"

namespace vl {

// (sum of the losses, pairs) of the steps [begin, end).
template <class Trainer>
nanobind::tuple run_steps(Trainer& trainer, std::int64_t begin, std::int64_t end,
                          std::optional<int> n_jobs) {
  if (begin < 0 || end > trainer.n_steps() || begin > end) {
    throw Error(ErrorKind::kInternal, "a trainer was given steps that are not there");
  }
  WordLoss loss;
  {
    const nanobind::gil_scoped_release release;
    loss = trainer.run(begin, end, n_jobs.value_or(0));
  }
  return nanobind::make_tuple(loss.sum, loss.pairs);
}

// (sum of the losses, pairs) of all there is, the rows as they are.
template <class Trainer>
nanobind::tuple evaluate_steps(Trainer& trainer, std::optional<int> n_jobs) {
  WordLoss loss;
  {
    const nanobind::gil_scoped_release release;
    loss = trainer.evaluate(n_jobs.value_or(0));
  }
  return nanobind::make_tuple(loss.sum, loss.pairs);
}

}  // namespace vl
