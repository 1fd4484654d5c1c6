// SPDX-License-Identifier: Apache-2.0
// Codes of codebooks: product and residual quantization.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/aligned.h"
#include "base/errors.h"
#include "bindings/bindings.h"
#include "compress/codebook_scan.h"
#include "compress/pq.h"
#include "compress/residual.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Books = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Codes = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class T, int D>
using Answer = nb::ndarray<nb::numpy, T, nb::ndim<D>>;

template <class T, int D>
Answer<T, D> make_answer(const std::size_t (&shape)[D], T** data) {
  std::size_t n = 1;
  for (const std::size_t extent : shape) n *= extent;
  auto memory = std::make_unique<AlignedBuffer<T>>(n == 0 ? 1 : n);
  *data = memory->data();
  const nb::capsule owner(memory.release(),
                          [](void* p) noexcept { delete static_cast<AlignedBuffer<T>*>(p); });
  return Answer<T, D>(*data, D, shape, owner);
}

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::kShape, message); }

int bits_of(std::size_t n_codewords) {
  int bits = 1;
  while ((std::size_t{1} << bits) < n_codewords) ++bits;
  if (bits > 8) {
    throw Error(ErrorKind::kParameter, "a codebook holds at most 256 codewords (8 bits); got " +
                                           std::to_string(n_codewords));
  }
  return bits;
}

PqShape shape_of(std::size_t dim, std::size_t n_parts, std::size_t n_codewords) {
  if (n_parts == 0 || n_codewords == 0 || dim % n_parts != 0) {
    refuse("dim " + std::to_string(dim) + " does not split into " + std::to_string(n_parts) +
           " equal parts");
  }
  PqShape shape;
  shape.dim = static_cast<std::int64_t>(dim);
  shape.n_parts = static_cast<int>(n_parts);
  shape.bits = bits_of(n_codewords);
  shape.n_codewords = static_cast<int>(n_codewords);
  return shape;
}

void check_width(const Codes& codes, const PqShape& shape) {
  if (codes.shape(1) != static_cast<std::size_t>(shape.code_bytes())) {
    refuse("a row of codes has " + std::to_string(codes.shape(1)) + " bytes; expected " +
           std::to_string(shape.code_bytes()));
  }
}

Answer<float, 3> train(const Matrix& x, std::size_t n_parts, std::size_t n_codewords, int n_iter,
                       std::uint64_t seed, std::int64_t max_rows, std::optional<int> n_jobs) {
  const PqShape shape = shape_of(x.shape(1), n_parts, n_codewords);
  if (x.shape(0) == 0) refuse("training needs at least one row");
  float* out = nullptr;
  auto answer =
      make_answer<float, 3>({n_parts, n_codewords, static_cast<std::size_t>(shape.width())}, &out);
  const nb::gil_scoped_release release;
  pq_train(x.data(), static_cast<std::int64_t>(x.shape(0)), shape, {n_iter, max_rows, seed},
           n_jobs.value_or(0), out);
  return answer;
}

// The turn into the coded space; its origin is where the middle of the codebooks comes from.
Turn turn_into(const Matrix& rotation, const Vector& origin, const PqShape& shape) {
  const auto dim = static_cast<std::size_t>(shape.dim);
  if (rotation.shape(0) != dim || rotation.shape(1) != dim || origin.shape(0) != dim) {
    refuse("the rotation must be a square of " + std::to_string(dim) +
           " dimensions, and the origin have as many entries");
  }
  return {rotation.data(), shape.dim, shape.dim, origin.data()};
}

Answer<std::uint8_t, 2> encode(const Matrix& x, const Books& books, std::optional<int> n_jobs,
                               const std::optional<Matrix>& rotation,
                               const std::optional<Vector>& origin) {
  const PqShape shape = shape_of(x.shape(1), books.shape(0), books.shape(1));
  if (books.shape(2) != static_cast<std::size_t>(shape.width())) {
    refuse("codebooks have width " + std::to_string(books.shape(2)) + "; expected " +
           std::to_string(shape.width()));
  }
  std::uint8_t* out = nullptr;
  auto answer = make_answer<std::uint8_t, 2>(
      {x.shape(0), static_cast<std::size_t>(shape.code_bytes())}, &out);
  if (rotation.has_value() != origin.has_value()) refuse("a rotation comes with its origin");
  std::optional<Turn> turn;
  if (rotation) turn.emplace(turn_into(*rotation, *origin, shape));
  const nb::gil_scoped_release release;
  pq_encode(x.data(), static_cast<std::int64_t>(x.shape(0)), shape, books.data(),
            turn ? &*turn : nullptr, n_jobs.value_or(0), out);
  return answer;
}

Answer<float, 2> decode(const Codes& codes, const Books& books, std::optional<int> n_jobs) {
  const PqShape shape = shape_of(books.shape(0) * books.shape(2), books.shape(0), books.shape(1));
  check_width(codes, shape);
  float* out = nullptr;
  auto answer = make_answer<float, 2>({codes.shape(0), static_cast<std::size_t>(shape.dim)}, &out);
  const nb::gil_scoped_release release;
  pq_decode(codes.data(), static_cast<std::int64_t>(codes.shape(0)), shape, books.data(),
            n_jobs.value_or(0), out);
  return answer;
}

Answer<float, 2> scores(const Books& tables, const Codes& codes, int bits,
                        std::optional<int> n_jobs) {
  PqShape shape = shape_of(tables.shape(1), tables.shape(1), tables.shape(2));
  if (bits < shape.bits || bits > 8) {
    throw Error(ErrorKind::kParameter, "bits must be " + std::to_string(shape.bits) +
                                           "..8 for these tables; got " + std::to_string(bits));
  }
  if (bits == 8 && tables.shape(2) != 256) refuse("tables of 8-bit codes need 256 entries a part");
  shape.bits = bits;
  check_width(codes, shape);
  float* out = nullptr;
  auto answer = make_answer<float, 2>({tables.shape(0), codes.shape(0)}, &out);
  const nb::gil_scoped_release release;
  pq_scores(tables.data(), static_cast<std::int64_t>(tables.shape(0)), codes.data(),
            static_cast<std::int64_t>(codes.shape(0)), shape, n_jobs.value_or(0), out);
  return answer;
}

// Blocks of 32 rows of 4-bit codes, and back.
Answer<std::uint8_t, 2> pack4(const Codes& codes, int n_parts) {
  if (n_parts < 1 || codes.shape(1) != static_cast<std::size_t>((n_parts + 1) / 2)) {
    refuse("rows of 4-bit codes have (n_parts + 1) / 2 bytes");
  }
  const auto n = static_cast<std::int64_t>(codes.shape(0));
  std::uint8_t* out = nullptr;
  auto answer = make_answer<std::uint8_t, 2>({static_cast<std::size_t>(nibble_blocks(n)),
                                              static_cast<std::size_t>(padded_parts(n_parts)) * 16},
                                             &out);
  const nb::gil_scoped_release release;
  pack_nibbles(codes.data(), n, n_parts, out);
  return answer;
}

Answer<std::uint8_t, 2> unpack4(const Codes& blocks, std::int64_t n, int n_parts) {
  if (n_parts < 1 || n < 0 ||
      static_cast<std::int64_t>(blocks.size()) != nibble_bytes(n, n_parts)) {
    refuse("blocks do not hold n rows of n_parts 4-bit codes");
  }
  std::uint8_t* out = nullptr;
  auto answer = make_answer<std::uint8_t, 2>(
      {static_cast<std::size_t>(n), static_cast<std::size_t>((n_parts + 1) / 2)}, &out);
  const nb::gil_scoped_release release;
  unpack_nibbles(blocks.data(), n, n_parts, out);
  return answer;
}

// Scores from tables rounded to bytes, and each query's bound on what rounding did.
nb::tuple scan4(const Books& tables, const Codes& blocks, std::int64_t n,
                std::optional<int> n_jobs) {
  const auto n_queries = static_cast<int>(tables.shape(0));
  const auto n_parts = static_cast<int>(tables.shape(1));
  if (n_parts < 1 || tables.shape(2) != 16 || n < 0 ||
      static_cast<std::int64_t>(blocks.size()) != nibble_bytes(n, n_parts)) {
    refuse("tables must be (n_queries, n_parts, 16) and blocks hold n rows of n_parts codes");
  }
  float* out = nullptr;
  float* bound = nullptr;
  auto answer = make_answer<float, 2>({tables.shape(0), static_cast<std::size_t>(n)}, &out);
  auto bounds = make_answer<float, 1>({tables.shape(0)}, &bound);
  {
    const nb::gil_scoped_release release;
    const ByteTables rounded = round_tables(tables.data(), n_queries, n_parts);
    scan_nibbles(rounded, blocks.data(), n, n_jobs.value_or(0), out);
    for (int q = 0; q < n_queries; ++q) {
      bound[q] = static_cast<float>(n_parts) * rounded.step[static_cast<std::size_t>(q)] / 2;
    }
  }
  return nb::make_tuple(answer, bounds);
}

AdditiveShape additive_shape(const Books& books) {
  AdditiveShape shape;
  shape.n_codebooks = static_cast<int>(books.shape(0));
  shape.n_codewords = static_cast<int>(books.shape(1));
  shape.dim = static_cast<std::int64_t>(books.shape(2));
  if (books.size() == 0 || books.shape(1) > 256) {
    refuse("codebooks must be (n_codebooks, 1..256 codewords, dim)");
  }
  return shape;
}

void check_rows(const Matrix& x, const AdditiveShape& shape) {
  if (x.shape(1) != static_cast<std::size_t>(shape.dim)) {
    refuse("rows have dimension " + std::to_string(x.shape(1)) + "; codebooks have " +
           std::to_string(shape.dim));
  }
}

Answer<float, 3> additive_learn(const Matrix& x, std::size_t n_codebooks, std::size_t n_codewords,
                                int beam, int max_iter, int rounds, std::optional<int> n_jobs) {
  AdditiveShape shape;
  shape.dim = static_cast<std::int64_t>(x.shape(1));
  shape.n_codebooks = static_cast<int>(n_codebooks);
  shape.n_codewords = static_cast<int>(n_codewords);
  if (x.size() == 0 || n_codebooks == 0 || n_codewords == 0 || n_codewords > 256 || beam < 1) {
    refuse("training needs rows, codebooks, 1..256 codewords and a beam");
  }
  float* out = nullptr;
  auto answer = make_answer<float, 3>({n_codebooks, n_codewords, x.shape(1)}, &out);
  const nb::gil_scoped_release release;
  additive_train(x.data(), static_cast<std::int64_t>(x.shape(0)), shape, {beam, max_iter, rounds},
                 n_jobs.value_or(0), out);
  return answer;
}

Answer<std::uint8_t, 2> additive_codes(const Matrix& x, const Books& books, int beam, int sweeps,
                                       std::optional<int> n_jobs) {
  const AdditiveShape shape = additive_shape(books);
  check_rows(x, shape);
  if (beam < 1) refuse("beam must be at least 1");
  std::uint8_t* out = nullptr;
  auto answer = make_answer<std::uint8_t, 2>({x.shape(0), books.shape(0)}, &out);
  const nb::gil_scoped_release release;
  additive_encode(x.data(), static_cast<std::int64_t>(x.shape(0)), shape, books.data(), beam,
                  sweeps, n_jobs.value_or(0), out);
  return answer;
}

Answer<float, 2> additive_sums(const Codes& codes, const Books& books, std::optional<int> n_jobs) {
  const AdditiveShape shape = additive_shape(books);
  if (codes.shape(1) != books.shape(0)) refuse("codes must have one column a codebook");
  float* out = nullptr;
  auto answer = make_answer<float, 2>({codes.shape(0), books.shape(2)}, &out);
  const nb::gil_scoped_release release;
  additive_decode(codes.data(), static_cast<std::int64_t>(codes.shape(0)), shape, books.data(),
                  n_jobs.value_or(0), out);
  return answer;
}

Answer<float, 3> additive_fit(const Matrix& x, const Codes& codes, const Books& books, int passes,
                              std::optional<int> n_jobs) {
  const AdditiveShape shape = additive_shape(books);
  check_rows(x, shape);
  if (codes.shape(1) != books.shape(0) || codes.shape(0) != x.shape(0)) {
    refuse("codes must be (n, n_codebooks)");
  }
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes.data()[i] >= shape.n_codewords) refuse("a code is beyond its codebook");
  }
  float* out = nullptr;
  auto answer = make_answer<float, 3>({books.shape(0), books.shape(1), books.shape(2)}, &out);
  std::copy_n(books.data(), books.size(), out);
  const nb::gil_scoped_release release;
  additive_refit(x.data(), static_cast<std::int64_t>(x.shape(0)), shape, codes.data(), passes,
                 n_jobs.value_or(0), out);
  return answer;
}

}  // namespace

void bind_codebooks(nb::module_& m) {
  m.def("pq_train", &train, "X"_a, "n_parts"_a, "n_codewords"_a, "n_iter"_a = 25, "seed"_a = 0,
        "max_rows"_a = 0, "n_jobs"_a = nb::none(),
        "Codebooks (n_parts, n_codewords, dim / n_parts) by Lloyd's iterations.");
  m.def(
      "pq_encode", &encode, "X"_a, "codebooks"_a, "n_jobs"_a = nb::none(),
      "rotation"_a = nb::none(), "origin"_a = nb::none(),
      "Codes of the nearest codewords, bit-packed, one row of bytes a vector. With a rotation the "
      "codes of X @ rotation.T, products rounded relative to X - origin.");
  m.def("pq_decode", &decode, "codes"_a, "codebooks"_a, "n_jobs"_a = nb::none(),
        "The codewords that codes stand for.");
  m.def("pq_scores", &scores, "tables"_a, "codes"_a, "bits"_a = 8, "n_jobs"_a = nb::none(),
        "Sums (n_queries, n) of the entries of tables (n_queries, n_parts, n_codewords).");
  m.def("additive_train", &additive_learn, "X"_a, "n_codebooks"_a, "n_codewords"_a, "beam"_a,
        "max_iter"_a, "rounds"_a, "n_jobs"_a = nb::none(),
        "Codebooks (n_codebooks, n_codewords, dim) whose sums come near the rows, which must be in "
        "random order.");
  m.def("additive_encode", &additive_codes, "X"_a, "codebooks"_a, "beam"_a, "sweeps"_a = 0,
        "n_jobs"_a = nb::none(), "One byte a codebook: the sums a beam search finds.");
  m.def("additive_decode", &additive_sums, "codes"_a, "codebooks"_a, "n_jobs"_a = nb::none(),
        "The sums that codes stand for.");
  m.def("additive_refit", &additive_fit, "X"_a, "codes"_a, "codebooks"_a, "passes"_a,
        "n_jobs"_a = nb::none(), "Codebooks moved towards the least squares fit of given codes.");
  m.def("pq_pack4", &pack4, "codes"_a, "n_parts"_a, "4-bit codes in blocks of 32 rows.");
  m.def("pq_unpack4", &unpack4, "blocks"_a, "n"_a, "n_parts"_a, "Rows of blocks of 4-bit codes.");
  m.def("pq_scan4", &scan4, "tables"_a, "blocks"_a, "n"_a, "n_jobs"_a = nb::none(),
        "Scores from tables rounded to bytes, and the bound of the rounding for each query.");
}

}  // namespace vl
