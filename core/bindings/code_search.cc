// SPDX-License-Identifier: Apache-2.0
// `_core.CodeSearch`: a scan of codes as most are asked, in one call.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/threads.h"
#include "bindings/bindings.h"
#include "bindings/prepared.h"
#include "compress/levels_search.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

using ByteMatrix = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

class CodeSearch {
 public:
  CodeSearch(const LevelCodec& codec, ByteMatrix codes, const std::string& metric,
             std::optional<FloatVector> norms, std::optional<IntVector> ties,
             std::optional<IntVector> ids, std::optional<int> n_jobs)
      : codes_(std::move(codes)),
        norms_(std::move(norms)),
        standing_(nullptr, std::nullopt, metric_named(metric),
                  static_cast<std::int64_t>(codes_.shape(0)), codec.dim(), std::move(ties),
                  std::move(ids)),
        n_jobs_(n_jobs.value_or(0)) {
    require(static_cast<std::int64_t>(codes_.shape(1)) == codec.row_bytes(),
            "codes: of another calibration");
    require(!norms_ || norms_->shape(0) == codes_.shape(0), "norms: one a row");
    require(standing_.metric() != Metric::kHamming, "metric: cosine, ip or l2");
    scan_.codec = &codec;
    scan_.codes = codes_.data();
    scan_.n = standing_.rows().n;
    scan_.metric = standing_.metric();
    scan_.norms = norms_ ? norms_->data() : nullptr;
    scan_.ties = standing_.ties();
  }

  nb::object operator()(nb::handle queries, std::int64_t k) const {
    return standing_.answer(queries, k,
                            [&](const float* values, std::int64_t n, std::int64_t* positions,
                                double* scores, std::int64_t* counts) {
                              search_levels(scan_, values, n, k, positions, scores, counts,
                                            resolve_jobs(n_jobs_));
                            });
  }

 private:
  ByteMatrix codes_;
  std::optional<FloatVector> norms_;
  StandingRows standing_;
  LevelScan scan_;
  int n_jobs_;
};

}  // namespace

void bind_code_search(nb::module_& m) {
  nb::class_<CodeSearch>(m, "CodeSearch", "Scans of codes that nobody changes, in one call.")
      .def(nb::init<const LevelCodec&, ByteMatrix, const std::string&, std::optional<FloatVector>,
                    std::optional<IntVector>, std::optional<IntVector>, std::optional<int>>(),
           "codec"_a, "codes"_a, "metric"_a, "norms"_a = nb::none(), "ties"_a = nb::none(),
           "ids"_a = nb::none(), "n_jobs"_a = nb::none(), nb::keep_alive<1, 2>())
      .def("__call__", &CodeSearch::operator(), "queries"_a, "k"_a, kPreparedDoc);
}

}  // namespace vl
