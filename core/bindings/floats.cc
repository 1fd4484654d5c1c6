// SPDX-License-Identifier: Apache-2.0
// Codes of one number at a time: float16, bfloat16, float8, and levels at will.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/aligned.h"
#include "base/errors.h"
#include "bindings/bindings.h"
#include "compress/float8.h"
#include "compress/nonuniform.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

template <class T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Answer = nb::ndarray<nb::numpy, T, nb::ndim<2>>;

template <class T>
Answer<T> make_answer(std::size_t n, std::size_t dim, T** data) {
  auto memory = std::make_unique<AlignedBuffer<T>>(n * dim == 0 ? 1 : n * dim);
  *data = memory->data();
  const nb::capsule owner(memory.release(),
                          [](void* p) noexcept { delete static_cast<AlignedBuffer<T>*>(p); });
  return Answer<T>(*data, {n, dim}, owner);
}

Float8Format format_named(const std::string& name) {
  if (name == "e4m3") return Float8Format::kE4M3;
  if (name == "e5m2") return Float8Format::kE5M2;
  throw Error(ErrorKind::kParameter, "format '" + name + "' is not one of e4m3 e5m2");
}

Kind kind_named(const std::string& name) {
  if (name == "float16") return Kind::kFloat16;
  if (name == "bfloat16") return Kind::kBFloat16;
  throw Error(ErrorKind::kParameter, "kind '" + name + "' is not one of float16 bfloat16");
}

Metric metric_named(const std::string& name) {
  if (name == "cosine") return Metric::kCosine;
  if (name == "ip") return Metric::kIp;
  if (name == "l2") return Metric::kL2;
  throw Error(ErrorKind::kParameter, "metric '" + name + "' is not one of cosine ip l2");
}

const float* per_dim(const std::optional<Vector<float>>& values, std::size_t dim) {
  if (!values) return nullptr;
  if (values->shape(0) != dim) {
    throw Error(ErrorKind::kShape,
                "scale: " + std::to_string(values->shape(0)) +
                    " values came, one a dimension is needed: " + std::to_string(dim));
  }
  return values->data();
}

template <class T>
std::int64_t rows_of(const Matrix<T>& m) {
  return static_cast<std::int64_t>(m.shape(0));
}
template <class T>
std::int64_t width_of(const Matrix<T>& m) {
  return static_cast<std::int64_t>(m.shape(1));
}

Answer<std::uint8_t> float8_encode(const Matrix<float>& x, const std::string& format,
                                   const std::optional<Vector<float>>& factor,
                                   std::optional<int> n_jobs) {
  const Float8Format which = format_named(format);
  const float* factors = per_dim(factor, x.shape(1));
  std::uint8_t* out = nullptr;
  auto answer = make_answer<std::uint8_t>(x.shape(0), x.shape(1), &out);
  const nb::gil_scoped_release release;
  encode_float8(which, x.data(), factors, rows_of(x), width_of(x), out, n_jobs.value_or(0));
  return answer;
}

Answer<float> float8_decode(const Matrix<std::uint8_t>& codes, const std::string& format,
                            const std::optional<Vector<float>>& scale, std::optional<int> n_jobs) {
  const Float8Format which = format_named(format);
  const float* scales = per_dim(scale, codes.shape(1));
  float* out = nullptr;
  auto answer = make_answer<float>(codes.shape(0), codes.shape(1), &out);
  const nb::gil_scoped_release release;
  decode_float8(which, codes.data(), scales, rows_of(codes), width_of(codes), out,
                n_jobs.value_or(0));
  return answer;
}

template <class T>
ScoreJob score_job(const Matrix<float>& queries, const Matrix<T>& codes, const std::string& metric,
                   std::optional<int> n_jobs) {
  if (queries.shape(1) != codes.shape(1)) {
    throw Error(ErrorKind::kShape, "queries: another dimension than the codes");
  }
  ScoreJob job;
  job.metric = metric_named(metric);
  job.queries = queries.data();
  job.n_queries = rows_of(queries);
  job.n = rows_of(codes);
  job.dim = width_of(codes);
  job.n_jobs = n_jobs.value_or(0);
  return job;
}

Answer<float> float8_scores(const Matrix<float>& queries, const Matrix<std::uint8_t>& codes,
                            const std::string& format, const std::string& metric,
                            const std::optional<Vector<float>>& scale, std::optional<int> n_jobs) {
  const Float8Format which = format_named(format);
  const float* scales = per_dim(scale, codes.shape(1));
  ScoreJob job = score_job(queries, codes, metric, n_jobs);
  auto answer = make_answer<float>(queries.shape(0), codes.shape(0), &job.out);
  const nb::gil_scoped_release release;
  score_float8(job, which, codes.data(), scales);
  return answer;
}

Answer<std::uint16_t> float16_encode(const Matrix<float>& x, const std::string& kind,
                                     std::optional<int> n_jobs) {
  const Kind which = kind_named(kind);
  std::uint16_t* out = nullptr;
  auto answer = make_answer<std::uint16_t>(x.shape(0), x.shape(1), &out);
  const nb::gil_scoped_release release;
  narrow_float16(which, x.data(), rows_of(x), width_of(x), out, n_jobs.value_or(0));
  return answer;
}

Answer<float> float16_decode(const Matrix<std::uint16_t>& codes, const std::string& kind,
                             std::optional<int> n_jobs) {
  const Kind which = kind_named(kind);
  float* out = nullptr;
  auto answer = make_answer<float>(codes.shape(0), codes.shape(1), &out);
  const nb::gil_scoped_release release;
  widen_float16(which, codes.data(), rows_of(codes) * width_of(codes), out, n_jobs.value_or(0));
  return answer;
}

Answer<float> float16_scores(const Matrix<float>& queries, const Matrix<std::uint16_t>& codes,
                             const std::string& kind, const std::string& metric,
                             std::optional<int> n_jobs) {
  const Kind which = kind_named(kind);
  ScoreJob job = score_job(queries, codes, metric, n_jobs);
  auto answer = make_answer<float>(queries.shape(0), codes.shape(0), &job.out);
  const nb::gil_scoped_release release;
  score_float16(job, which, codes.data());
  return answer;
}

void check_levels(std::int64_t came, std::int64_t needed, const char* what) {
  if (came == needed) return;
  throw Error(ErrorKind::kShape, std::string(what) + ": " + std::to_string(came) +
                                     " values came, the bits ask for " + std::to_string(needed));
}

Answer<std::uint8_t> levels_encode(const Matrix<float>& x, const Vector<std::uint8_t>& bits,
                                   const Vector<float>& thresholds, std::optional<int> n_jobs) {
  const LevelLayout layout(bits.data(), static_cast<std::int64_t>(bits.shape(0)));
  check_levels(width_of(x), layout.dim(), "x");
  check_levels(static_cast<std::int64_t>(thresholds.shape(0)), layout.n_thresholds(), "thresholds");
  std::uint8_t* out = nullptr;
  auto answer =
      make_answer<std::uint8_t>(x.shape(0), static_cast<std::size_t>(layout.row_bytes()), &out);
  const nb::gil_scoped_release release;
  encode_levels(layout, thresholds.data(), x.data(), rows_of(x), out, n_jobs.value_or(0));
  return answer;
}

Answer<float> levels_decode(const Matrix<std::uint8_t>& codes, const Vector<std::uint8_t>& bits,
                            const Vector<float>& levels, std::optional<int> n_jobs) {
  const LevelLayout layout(bits.data(), static_cast<std::int64_t>(bits.shape(0)));
  check_levels(width_of(codes), layout.row_bytes(), "codes");
  check_levels(static_cast<std::int64_t>(levels.shape(0)), layout.n_levels(), "levels");
  float* out = nullptr;
  auto answer = make_answer<float>(codes.shape(0), bits.shape(0), &out);
  const nb::gil_scoped_release release;
  decode_levels(layout, levels.data(), codes.data(), rows_of(codes), out, n_jobs.value_or(0));
  return answer;
}

}  // namespace

void bind_floats(nb::module_& m) {
  m.def("float8_encode", &float8_encode, "x"_a, "format"_a, "factor"_a = nb::none(),
        "n_jobs"_a = nb::none(), "Codes nearest to factor * x, ties to even, saturating.");
  m.def("float8_decode", &float8_decode, "codes"_a, "format"_a, "scale"_a = nb::none(),
        "n_jobs"_a = nb::none(), "scale * value of each code, as float32.");
  m.def("float8_scores", &float8_scores, "queries"_a, "codes"_a, "format"_a, "metric"_a,
        "scale"_a = nb::none(), "n_jobs"_a = nb::none(),
        "float32 queries against codes: ip, l2 (negated) or cosine.");
  m.def("float16_encode", &float16_encode, "x"_a, "kind"_a, "n_jobs"_a = nb::none(),
        "float32 to float16 or bfloat16, to nearest, ties to even; overflow is refused.");
  m.def("float16_decode", &float16_decode, "codes"_a, "kind"_a, "n_jobs"_a = nb::none(),
        "float16 or bfloat16 to float32.");
  m.def("float16_scores", &float16_scores, "queries"_a, "codes"_a, "kind"_a, "metric"_a,
        "n_jobs"_a = nb::none(), "float32 queries against float16 or bfloat16 rows.");
  m.def("nonuniform_encode", &levels_encode, "x"_a, "bits"_a, "thresholds"_a,
        "n_jobs"_a = nb::none(), "Rank of each value among its dimension's thresholds, packed.");
  m.def("nonuniform_decode", &levels_decode, "codes"_a, "bits"_a, "levels"_a,
        "n_jobs"_a = nb::none(), "The level of each code.");
}

}  // namespace vl
