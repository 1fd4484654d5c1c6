// SPDX-License-Identifier: Apache-2.0
// Codes of integer levels: `_core.LevelCodec` for scalar, LVQ, RaBitQ and sign codes, and
// `_core.kernels.levels_*` for tests.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/errors.h"
#include "bindings/bindings.h"
#include "compress/levels.h"
#include "simd/levels.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

template <class T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T, std::size_t Dims>
nb::ndarray<nb::numpy, T> output(const std::size_t (&shape)[Dims], T** data) {
  std::size_t size = 1;
  for (const std::size_t s : shape) size *= s;
  auto* buffer = new AlignedBuffer<T>(size);
  *data = buffer->data();
  nb::capsule owner(buffer, [](void* p) noexcept { delete static_cast<AlignedBuffer<T>*>(p); });
  return nb::ndarray<nb::numpy, T>(buffer->data(), Dims, shape, owner);
}

void check(bool ok, ErrorKind kind, const std::string& message) {
  if (!ok) throw Error(kind, message);
}

LevelFactors factors_from(const std::string& name) {
  if (name == "none") return LevelFactors::kNone;
  if (name == "affine") return LevelFactors::kAffine;
  if (name == "rescaled") return LevelFactors::kRescaled;
  throw Error(ErrorKind::kParameter,
              "factors '" + name + "': expected one of none, affine, rescaled");
}

int metric_from(const std::string& name) {
  if (name == "ip") return 0;
  if (name == "l2") return 1;
  if (name == "cosine") return 2;
  throw Error(ErrorKind::kParameter, "metric '" + name + "': expected one of ip, l2, cosine");
}

void check_codes(const LevelCodec& codec, const Matrix<std::uint8_t>& codes) {
  check(static_cast<std::int64_t>(codes.shape(1)) == codec.row_bytes(), ErrorKind::kShape,
        "codes have rows of " + std::to_string(codes.shape(1)) + " bytes; this calibration makes " +
            std::to_string(codec.row_bytes()));
}

void check_dim(const LevelCodec& codec, const Matrix<float>& x) {
  check(static_cast<std::int64_t>(x.shape(1)) == codec.dim(), ErrorKind::kShape,
        "vectors have " + std::to_string(x.shape(1)) + " dimensions; this calibration has " +
            std::to_string(codec.dim()));
}

void init_codec(LevelCodec* self, const Matrix<float>& means,
                const std::optional<Vector<float>>& weight, int bits, int residual_bits,
                const std::string& factors, float first_unit, float second_unit,
                const std::optional<Matrix<std::int8_t>>& signs) {
  LevelCalibration c;
  c.dim = static_cast<std::int64_t>(means.shape(1));
  c.bits = bits;
  c.residual_bits = residual_bits;
  c.factors = factors_from(factors);
  c.units[0] = first_unit;
  c.units[1] = second_unit;
  c.means.assign(means.data(), means.data() + means.size());
  if (weight) c.weight.assign(weight->data(), weight->data() + weight->size());
  if (signs) {
    check(signs->shape(1) == means.shape(1), ErrorKind::kShape, "signs must have dim columns");
    c.signs.assign(signs->data(), signs->data() + signs->size());
  }
  new (self) LevelCodec(std::move(c));
}

auto encode(const LevelCodec& self, const Matrix<float>& x,
            const std::optional<Vector<std::int32_t>>& labels, std::optional<int> n_jobs) {
  check_dim(self, x);
  check(!labels || labels->size() == x.shape(0), ErrorKind::kShape, "one label a row");
  std::uint8_t* out = nullptr;
  auto codes = output<std::uint8_t>({x.shape(0), static_cast<std::size_t>(self.row_bytes())}, &out);
  const std::int32_t* label = labels ? labels->data() : nullptr;
  {
    nb::gil_scoped_release release;
    self.encode(x.data(), label, static_cast<std::int64_t>(x.shape(0)), out, n_jobs.value_or(0));
  }
  return codes;
}

auto decode(const LevelCodec& self, const Matrix<std::uint8_t>& codes, std::optional<int> n_jobs) {
  check_codes(self, codes);
  float* out = nullptr;
  auto x = output<float>({codes.shape(0), static_cast<std::size_t>(self.dim())}, &out);
  {
    nb::gil_scoped_release release;
    self.decode(codes.data(), static_cast<std::int64_t>(codes.shape(0)), out, n_jobs.value_or(0));
  }
  return x;
}

auto norms(const LevelCodec& self, const Matrix<std::uint8_t>& codes, std::optional<int> n_jobs) {
  check_codes(self, codes);
  float* out = nullptr;
  auto x = output<float>({codes.shape(0)}, &out);
  {
    nb::gil_scoped_release release;
    self.norms(codes.data(), static_cast<std::int64_t>(codes.shape(0)), out, n_jobs.value_or(0));
  }
  return x;
}

auto row_factors(const LevelCodec& self, const Matrix<std::uint8_t>& codes) {
  check_codes(self, codes);
  float* out = nullptr;
  auto x = output<float>({codes.shape(0), std::size_t{3}}, &out);
  {
    nb::gil_scoped_release release;
    self.row_factors(codes.data(), static_cast<std::int64_t>(codes.shape(0)), out);
  }
  return x;
}

auto scores(const LevelCodec& self, const Matrix<float>& queries, const Matrix<std::uint8_t>& codes,
            const std::string& metric, bool first_only, std::optional<int> n_jobs) {
  check_codes(self, codes);
  check_dim(self, queries);
  const int kind = metric_from(metric);
  float* out = nullptr;
  auto all = output<float>({queries.shape(0), codes.shape(0)}, &out);
  {
    nb::gil_scoped_release release;
    self.scores(queries.data(), static_cast<std::int64_t>(queries.shape(0)), codes.data(),
                static_cast<std::int64_t>(codes.shape(0)), kind, first_only, out,
                n_jobs.value_or(0));
  }
  return all;
}

// The scores of listed rows, one query: what a graph asks for.
auto score_rows(const LevelCodec& self, const Vector<float>& query,
                const Matrix<std::uint8_t>& codes, const Vector<std::int64_t>& rows,
                bool first_only) {
  check_codes(self, codes);
  check(static_cast<std::int64_t>(query.size()) == self.dim(), ErrorKind::kShape,
        "the query must have the calibration's dimension");
  for (std::size_t j = 0; j < rows.size(); ++j) {
    const std::int64_t row = rows.data()[j];
    check(row >= 0 && row < static_cast<std::int64_t>(codes.shape(0)), ErrorKind::kParameter,
          "position " + std::to_string(row) + " is not a row of the codes");
  }
  float* out = nullptr;
  auto found = output<float>({rows.size()}, &out);
  {
    nb::gil_scoped_release release;
    const LevelQuery prepared = self.prepare(query.data());
    self.score(prepared, codes.data(), self.row_bytes(), rows.data(),
               static_cast<std::int64_t>(rows.size()), first_only, out);
  }
  return found;
}

int checked_bits(int bits) {
  check(bits == 8 || bits == 4 || bits == 2 || bits == 1, ErrorKind::kParameter,
        "planes have 8, 4, 2 or 1 bits; got " + std::to_string(bits));
  return bits;
}

auto pack(const std::string& level, const Matrix<std::uint8_t>& levels, int bits) {
  const LevelKernels& kernels = level_kernels(simd_level_from_name(level));
  const auto dim = static_cast<std::int64_t>(levels.shape(1));
  const auto bytes = static_cast<std::size_t>(plane_bytes(checked_bits(bits), dim));
  std::uint8_t* out = nullptr;
  auto planes = output<std::uint8_t>({levels.shape(0), bytes}, &out);
  for (std::size_t r = 0; r < levels.shape(0); ++r) {
    kernels.pack[plane_kind(bits)](levels.data() + r * levels.shape(1), dim, out + r * bytes);
  }
  return planes;
}

auto unpack(const std::string& level, const Matrix<std::uint8_t>& planes, int bits,
            std::int64_t dim) {
  const LevelKernels& kernels = level_kernels(simd_level_from_name(level));
  check(plane_bytes(checked_bits(bits), dim) == static_cast<std::int64_t>(planes.shape(1)),
        ErrorKind::kShape, "planes of another dimension");
  std::uint8_t* out = nullptr;
  auto levels = output<std::uint8_t>({planes.shape(0), static_cast<std::size_t>(dim)}, &out);
  for (std::size_t r = 0; r < planes.shape(0); ++r) {
    kernels.unpack[plane_kind(bits)](planes.data() + r * planes.shape(1), dim,
                                     out + r * static_cast<std::size_t>(dim));
  }
  return levels;
}

// Exact sums of `digits` (1 or 2 rows of natural order) with each row of a plane of a wider matrix.
auto dot(const std::string& level, const Matrix<std::int8_t>& digits,
         const Matrix<std::uint8_t>& planes, int bits,
         const std::optional<Vector<std::int64_t>>& rows, std::size_t repeat) {
  const LevelKernels& kernels = level_kernels(simd_level_from_name(level));
  const auto dim = static_cast<std::int64_t>(digits.shape(1));
  check(plane_bytes(checked_bits(bits), dim) <= static_cast<std::int64_t>(planes.shape(1)),
        ErrorKind::kShape, "planes shorter than the query");
  check(digits.shape(0) == 1 || digits.shape(0) == 2, ErrorKind::kShape, "one or two digits");
  const auto size = static_cast<std::size_t>(plane_query_size(bits, dim));
  AlignedBuffer<std::int8_t> query(size * digits.shape(0));
  for (std::size_t d = 0; d < digits.shape(0); ++d) {
    arrange_query(bits, dim, digits.data() + d * digits.shape(1), query.data() + d * size);
  }
  const std::size_t n = rows ? rows->size() : planes.shape(0);
  for (std::size_t j = 0; rows && j < n; ++j) {
    check(rows->data()[j] >= 0 && rows->data()[j] < static_cast<std::int64_t>(planes.shape(0)),
          ErrorKind::kParameter, "a position is not a row");
  }
  std::int32_t* out = nullptr;
  auto sums = output<std::int32_t>({digits.shape(0), n}, &out);
  const std::int64_t* listed = rows ? rows->data() : nullptr;
  for (std::size_t r = 0; r < repeat; ++r) {
    kernels.dot[plane_kind(bits)][digits.shape(0) - 1](
        planes.data(), static_cast<std::int64_t>(planes.shape(1)), listed,
        static_cast<std::int64_t>(n), dim, query.data(), out);
  }
  return sums;
}

// (levels, sum, squares, cross, low, high, sum of x, squares of x) of one row.
nb::tuple quantize(const std::string& level, const Vector<float>& x, const Vector<float>& mean,
                   const Vector<float>& inverse, float scale, float shift, float top) {
  const LevelKernels& kernels = level_kernels(simd_level_from_name(level));
  check(mean.size() == x.size() && inverse.size() == x.size(), ErrorKind::kShape, "sizes differ");
  const auto dim = static_cast<std::int64_t>(x.size());
  float* centered = nullptr;
  auto values = output<float>({x.size()}, &centered);
  const CenteredRow row = kernels.center(x.data(), mean.data(), inverse.data(), dim, centered);
  std::uint8_t* out = nullptr;
  auto levels = output<std::uint8_t>({x.size()}, &out);
  const LevelSums sums = kernels.quantize(centered, dim, scale, shift, top, out);
  float* back = nullptr;
  auto decoded = output<float>({x.size()}, &back);
  kernels.decode(out, dim, mean.data(), inverse.data(), scale, shift, back);
  return nb::make_tuple(values, levels, decoded, sums.sum, sums.squares, sums.cross, row.low,
                        row.high, row.sum, row.squares);
}

}  // namespace

void bind_levels(nb::module_& m) {
  nb::class_<LevelCodec>(
      m, "LevelCodec",
      "Rows coded as mean + weight * (a * levels + b), see core/compress/levels.h.")
      .def("__init__", &init_codec, "means"_a, "weight"_a.none(), "bits"_a, "residual_bits"_a = 0,
           "factors"_a = "none", "first_unit"_a = 1.0f, "second_unit"_a = 1.0f,
           "signs"_a = nb::none())
      .def_prop_ro("row_bytes", &LevelCodec::row_bytes)
      .def_prop_ro("first_level_bytes", &LevelCodec::first_level_bytes)
      .def("encode", &encode, "vectors"_a, "labels"_a = nb::none(), "n_jobs"_a = nb::none())
      .def("decode", &decode, "codes"_a, "n_jobs"_a = nb::none())
      .def("norms", &norms, "codes"_a, "n_jobs"_a = nb::none())
      .def("row_factors", &row_factors, "codes"_a)
      .def("scores", &scores, "queries"_a, "codes"_a, "metric"_a = "ip", "first_only"_a = false,
           "n_jobs"_a = nb::none())
      .def("score_rows", &score_rows, "query"_a, "codes"_a, "rows"_a, "first_only"_a = false);
  nb::module_ kernels = nb::cast<nb::module_>(m.attr("kernels"));
  kernels.def("levels_pack", &pack, "level"_a, "levels"_a, "bits"_a);
  kernels.def("levels_unpack", &unpack, "level"_a, "planes"_a, "bits"_a, "dim"_a);
  kernels.def("levels_dot", &dot, "level"_a, "digits"_a, "planes"_a, "bits"_a,
              "rows"_a = nb::none(), "repeat"_a = 1);
  kernels.def("levels_quantize", &quantize, "level"_a, "x"_a, "mean"_a, "inverse"_a, "scale"_a,
              "shift"_a, "top"_a);
}

}  // namespace vl
