// SPDX-License-Identifier: Apache-2.0
// Scores as users see them.
#include <cstdint>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/rows.h"
#include "index/answers.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

using Scores = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;

template <class Change>
nb::ndarray<nb::numpy, float> changed(const Scores& scores, const Change& change) {
  std::vector<float> out(scores.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = change(scores.data()[i]);
  if (scores.ndim() == 1) return owned(std::move(out), {scores.shape(0)});
  require(scores.ndim() == 2, "scores: one or two dimensions expected");
  return owned(std::move(out), {scores.shape(0), scores.shape(1)});
}

}  // namespace

void bind_answers(nb::module_& m) {
  m.def(
      "distances",
      [](const Scores& scores, const std::string& metric) {
        const Metric named = metric_named(metric);
        return changed(scores, [named](double score) { return distance_of(score, named); });
      },
      "scores"_a, "metric"_a, "float32 distances of float64 scores.");
  m.def(
      "narrow_scores", [](const Scores& scores) { return changed(scores, narrow_score); },
      "scores"_a, "Scores as float32, never -0; beyond its range they are infinite.");
}

}  // namespace vl
