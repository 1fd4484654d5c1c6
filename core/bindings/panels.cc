// SPDX-License-Identifier: Apache-2.0
// `_core.kernels.panel_*`: block products at a chosen CPU level, for tests.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/errors.h"
#include "bindings/bindings.h"
#include "simd/panel.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

constexpr int kPairRows = kPanelsPerCall * kPanelRows;

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// The model of the tiles runs wherever its AVX-512 level does, without being a level of the host.
const PanelKernels& panels_at(const std::string& name) {
  const SimdLevel level = simd_level_from_name(name);
  const std::vector<SimdLevel>& host = host_simd_levels();
  const SimdLevel needed = level == SimdLevel::kAmxModel ? SimdLevel::kAvx512Bf16 : level;
  if (std::find(host.begin(), host.end(), needed) == host.end()) {
    throw Error(ErrorKind::kParameter, "level '" + name + "' does not run on this host");
  }
  return panel_kernels(level);
}

// Two panels out of 32 rows of `groups` four-byte groups, the first of them at `skip`.
AlignedBuffer<std::uint8_t> pack(const std::uint8_t* rows, std::size_t row_bytes, int skip,
                                 int groups, int pairs = 1) {
  const auto pair_bytes = static_cast<std::size_t>(groups) * kPairRows * kGroupBytes;
  AlignedBuffer<std::uint8_t> out(static_cast<std::size_t>(pairs) * pair_bytes);
  for (int r = 0; r < pairs * kPairRows; ++r) {
    for (int g = 0; g < groups; ++g) {
      const std::uint8_t* from =
          rows + static_cast<std::size_t>(r) * row_bytes + static_cast<std::size_t>(skip + g) * 4;
      const std::size_t to =
          (static_cast<std::size_t>(r / kPanelRows) * static_cast<std::size_t>(groups) +
           static_cast<std::size_t>(g)) *
              64 +
          static_cast<std::size_t>(r % kPanelRows) * 4;
      std::memcpy(out.data() + to, from, 4);
    }
  }
  return out;
}

AlignedBuffer<std::uint8_t> padded(const Bytes& queries) {
  const std::size_t rows = (queries.shape(0) + kQueryPad - 1) / kQueryPad * kQueryPad;
  AlignedBuffer<std::uint8_t> out(rows * queries.shape(1));
  std::fill_n(out.data(), out.size(), std::uint8_t{0});
  std::memcpy(out.data(), queries.data(), queries.size());
  return out;
}

std::vector<float> padded(const Floats& values, float fill) {
  std::vector<float> out((values.shape(0) + kQueryPad - 1) / kQueryPad * kQueryPad, fill);
  std::copy(values.data(), values.data() + values.shape(0), out.begin());
  return out;
}

void check(bool ok, const char* what) {
  if (!ok) throw Error(ErrorKind::kShape, what);
}

// (query, row, value) of every hit, in the order of the kernel.
nb::list panel_filter(const std::string& level, const std::string& kind, const Bytes& queries,
                      const Bytes& rows, int groups, const std::optional<Ints>& start,
                      const std::optional<Ints>& rest_start, const Floats& scale,
                      const Floats& tail, const std::optional<Floats>& bias,
                      const Floats& query_tail, const std::optional<Floats>& query_bias,
                      const Floats& limit, const std::optional<Floats>& rest_scale,
                      const std::optional<Floats>& rest_weight,
                      const std::optional<Floats>& row_limit, const std::optional<Floats>& weight,
                      const std::optional<Floats>& offset) {
  const PanelKernels& kernels = panels_at(level);
  const int all = static_cast<int>(rows.shape(1) / kGroupBytes);
  check(rows.shape(0) == kPairRows && rows.shape(1) == queries.shape(1),
        "rows: (32, bytes of a query)");
  check(groups % kGroupStep == 0 && all % kGroupStep == 0 && groups > 0 && groups <= all, "groups");
  const AlignedBuffer<std::uint8_t> codes = padded(queries);
  const AlignedBuffer<std::uint8_t> head = pack(rows.data(), rows.shape(1), 0, groups);
  const AlignedBuffer<std::uint8_t> rest = pack(rows.data(), rows.shape(1), groups, all - groups);
  const std::vector<float> tails = padded(query_tail, 0.0F);
  const std::vector<float> ones(tails.size(), 1.0F);
  const std::vector<float> rest_weights = rest_weight ? padded(*rest_weight, 0.0F) : ones;
  const std::vector<float> weights = weight ? padded(*weight, 1.0F) : ones;
  const std::vector<float> offsets =
      offset ? padded(*offset, 0.0F) : std::vector<float>(tails.size());
  const std::vector<float> limits = padded(limit, std::numeric_limits<float>::infinity());
  const std::vector<float> biases = query_bias ? padded(*query_bias, 0.0F) : std::vector<float>();
  const std::size_t room = queries.shape(0) + 1;
  AlignedBuffer<float> values(2 * room * kPanelRows);
  std::vector<std::int32_t> survivors(2 * room);
  PanelQueries q;
  q.codes = codes.data();
  q.row_bytes = static_cast<std::int64_t>(queries.shape(1));
  q.n = static_cast<int>(queries.shape(0));
  q.start = start ? start->data() : nullptr;
  q.rest_start = rest_start ? rest_start->data() : nullptr;
  q.tail = tails.data();
  q.bias = query_bias ? biases.data() : nullptr;
  q.rest_weight = rest_weights.data();
  q.limit = limits.data();
  q.weight = weights.data();
  q.offset = offsets.data();
  q.survivor_values = values.data();
  q.survivors = survivors.data();
  PanelPair pair;
  pair.data = head.data();
  pair.rest = rest.data();
  pair.scale = scale.data();
  pair.tail = tail.data();
  pair.rest_scale = rest_scale ? rest_scale->data() : scale.data();
  pair.limit = row_limit ? row_limit->data() : nullptr;
  pair.bias = bias ? bias->data() : nullptr;
  const PanelFilter filter = kind == "int8"   ? kernels.filter_int8
                             : kind == "bf16" ? kernels.filter_bf16
                                              : kernels.filter_f32;
  std::vector<PanelHit> hits(queries.shape(0) * kPairRows);
  const std::int64_t n = filter(q, pair, groups, all - groups, hits.data());
  nb::list out;
  for (std::int64_t i = 0; i < n; ++i) {
    const PanelHit& hit = hits[static_cast<std::size_t>(i)];
    out.append(nb::make_tuple(hit.query, hit.row, hit.value));
  }
  return out;
}

// The runs of items in 32 rows; item_of is -1 for rows of none, and `next` is the item of the row
// behind.
PanelRuns runs_of(const std::int32_t* item_of, std::int32_t next) {
  PanelRuns runs;
  for (int panel = 0; panel < kPanelsPerCall; ++panel) {
    PanelRun* mine = runs.runs + panel * kPanelRows;
    int& count = runs.count[panel];
    count = 0;
    for (int j = 0; j < kPanelRows; ++j) {
      const int at = panel * kPanelRows + j;
      if (item_of[at] < 0) continue;
      if (count == 0 || mine[count - 1].item != item_of[at])
        mine[count++] = {0, false, item_of[at]};
      mine[count - 1].lanes |= 1U << j;
      mine[count - 1].ends = item_of[at] != (at + 1 < kPairRows ? item_of[at + 1] : next);
    }
  }
  return runs;
}

// What n_items items reach, (queries, n_items); item_of names the item of each row, neighbours.
std::vector<std::vector<float>> panel_reach(const std::string& level, const Bytes& queries,
                                            const Bytes& rows, int groups, bool bound,
                                            const Ints& start, const Ints& rest_start,
                                            const Floats& scale, const Floats& tail,
                                            const Floats& query_tail, const Floats& rest_scale,
                                            const Floats& rest_weight, const Ints& item_of,
                                            int n_items) {
  const PanelKernels& kernels = panels_at(level);
  const int all = static_cast<int>(rows.shape(1) / kGroupBytes);
  check(rows.shape(0) % kPairRows == 0 && rows.shape(1) == queries.shape(1),
        "rows: (a multiple of 32, bytes of a query)");
  check(groups % kGroupStep == 0 && all % kGroupStep == 0 && groups > 0 && groups <= all, "groups");
  check(item_of.shape(0) == rows.shape(0) && scale.shape(0) == rows.shape(0), "one term a row");
  const AlignedBuffer<std::uint8_t> codes = padded(queries);
  const std::vector<float> tails = padded(query_tail, 0.0F);
  const std::vector<float> weights = padded(rest_weight, 0.0F);
  PanelQueries q;
  q.codes = codes.data();
  q.row_bytes = static_cast<std::int64_t>(queries.shape(1));
  q.n = static_cast<int>(queries.shape(0));
  q.start = start.data();
  q.rest_start = rest_start.data();
  q.tail = bound ? tails.data() : nullptr;
  q.rest_weight = weights.data();
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  AlignedBuffer<float> open(queries.shape(0) * kPanelRows);
  std::fill_n(open.data(), open.size(), kNone);
  std::vector<float> out(queries.shape(0) * static_cast<std::size_t>(n_items), kNone);
  for (std::size_t row = 0; row < rows.shape(0); row += kPairRows) {
    const std::uint8_t* from = rows.data() + row * rows.shape(1);
    const AlignedBuffer<std::uint8_t> head = pack(from, rows.shape(1), 0, groups);
    const AlignedBuffer<std::uint8_t> rest = pack(from, rows.shape(1), groups, all - groups);
    PanelPair pair;
    pair.data = head.data();
    pair.rest = rest.data();
    pair.scale = scale.data() + row;
    pair.tail = tail.data() + row;
    pair.rest_scale = rest_scale.data() + row;
    const bool more = row + kPairRows < rows.shape(0);
    const PanelRuns runs =
        runs_of(item_of.data() + row, more ? item_of.data()[row + kPairRows] : -1);
    kernels.reach_int8(q, pair, groups, bound ? 0 : all - groups, runs, open.data(), out.data(),
                       n_items);
  }
  std::vector<std::vector<float>> rows_out;
  for (std::size_t i = 0; i < queries.shape(0); ++i) {
    const auto begin = out.begin() + static_cast<std::ptrdiff_t>(i) * n_items;
    rows_out.emplace_back(begin, begin + n_items);
  }
  return rows_out;
}

std::vector<std::vector<float>> panel_product(const std::string& level, const std::string& kind,
                                              const Bytes& queries, const Bytes& rows) {
  const PanelKernels& kernels = panels_at(level);
  check(rows.shape(0) % kPairRows == 0 && rows.shape(1) == queries.shape(1),
        "rows: (a multiple of 32, bytes of a query)");
  const int groups = static_cast<int>(rows.shape(1) / kGroupBytes);
  check(groups % kGroupStep == 0, "groups");
  const auto n_rows = static_cast<std::ptrdiff_t>(rows.shape(0));
  const int pairs = static_cast<int>(n_rows / kPairRows);
  const AlignedBuffer<std::uint8_t> codes = padded(queries);
  const AlignedBuffer<std::uint8_t> packed = pack(rows.data(), rows.shape(1), 0, groups, pairs);
  const auto n = static_cast<int>(queries.shape(0));
  std::vector<float> out(queries.shape(0) * rows.shape(0));
  const PanelProduct product = kind == "bf16" ? kernels.product_bf16 : kernels.product_f32;
  product(codes.data(), static_cast<std::int64_t>(queries.shape(1)), n, packed.data(), pairs,
          groups, out.data(), n_rows);
  std::vector<std::vector<float>> rows_out;
  rows_out.reserve(queries.shape(0));
  for (int i = 0; i < n; ++i)
    rows_out.emplace_back(out.begin() + i * n_rows, out.begin() + (i + 1) * n_rows);
  return rows_out;
}

}  // namespace

void bind_panels(nb::module_& kernels) {
  kernels.def("panel_filter", &panel_filter, "level"_a, "kind"_a, "queries"_a, "rows"_a, "groups"_a,
              "start"_a.none(), "rest_start"_a.none(), "scale"_a, "tail"_a, "bias"_a.none(),
              "query_tail"_a, "query_bias"_a.none(), "limit"_a, "rest_scale"_a = nb::none(),
              "rest_weight"_a = nb::none(), "row_limit"_a = nb::none(), "weight"_a = nb::none(),
              "offset"_a = nb::none(), "Hits of a batch of queries in 32 rows.");
  kernels.def("panel_reach", &panel_reach, "level"_a, "queries"_a, "rows"_a, "groups"_a, "bound"_a,
              "start"_a, "rest_start"_a, "scale"_a, "tail"_a, "query_tail"_a, "rest_scale"_a,
              "rest_weight"_a, "item_of"_a, "n_items"_a,
              "Highest values that items reach on a batch of queries.");
  kernels.def("panel_product", &panel_product, "level"_a, "kind"_a, "queries"_a, "rows"_a,
              "Products of a batch of queries with 32 rows.");
  kernels.def(
      "panel_query_max", [](const std::string& level) { return panels_at(level).int8_query_max; },
      "level"_a, "Largest magnitude of an int8 query code at this level.");
}

}  // namespace vl
