// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "bindings/rows.h"
#include "index/inverted.h"
#include "index/inverted_words.h"
#include "simd/sums.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

using TermVector = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ShortVector = nb::ndarray<const std::uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using PointVector = nb::ndarray<const std::uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Rows as Python holds them: the first `n` of arrays that may have room for more.
class SparseView {
 public:
  SparseView(IntVector starts, TermVector terms, FloatVector weights, std::int64_t n)
      : starts_(std::move(starts)), terms_(std::move(terms)), weights_(std::move(weights)) {
    require(n >= 0 && n < static_cast<std::int64_t>(starts_.shape(0)), "rows: more than starts");
    require(starts_.data()[0] == 0, "rows: starts begin with 0");
    const auto room = static_cast<std::int64_t>(std::min(terms_.shape(0), weights_.shape(0)));
    require(starts_.data()[n] <= room, "rows: starts beyond the terms");
    rows_ = {starts_.data(), terms_.data(), weights_.data(), n};
  }
  const SparseRows& rows() const { return rows_; }
  // What a caller or a file says of its own arrays: ascending terms below n_terms.
  bool fits(std::int64_t n_terms) const {
    for (std::int64_t r = 0; r < rows_.n; ++r) {
      if (rows_.starts[r] > rows_.starts[r + 1]) return false;
    }
    for (std::int64_t r = 0; r < rows_.n; ++r) {
      std::int64_t last = -1;
      for (std::int64_t i = rows_.starts[r]; i < rows_.starts[r + 1]; ++i) {
        if (rows_.terms[i] <= last || rows_.terms[i] >= n_terms) return false;
        last = rows_.terms[i];
      }
    }
    return true;
  }

 private:
  IntVector starts_;
  TermVector terms_;
  FloatVector weights_;
  SparseRows rows_;
};

class PostingsHolder {
 public:
  PostingsHolder(std::unique_ptr<Postings> postings, nb::object arrays)
      : postings_(std::move(postings)), arrays_(std::move(arrays)) {}

  static PostingsHolder build(const SparseView& rows, std::int64_t n_terms,
                              std::optional<int> n_jobs) {
    require(n_terms > 0, "n_terms: at least one expected");
    require(rows.fits(n_terms), "rows: ascending terms below n_terms expected");
    require(rows.rows().n <= UINT32_MAX, "rows: fewer than 2^32 expected");
    const nb::gil_scoped_release release;
    return {std::make_unique<Postings>(rows.rows(), n_terms, resolve_jobs(n_jobs.value_or(0))),
            nb::object()};
  }

  static PostingsHolder open(const nb::dict& arrays, std::int64_t n, std::int64_t n_terms);

  const Postings& postings() const { return *postings_; }

  nb::tuple search(const SparseView& rows, const SparseView& queries, std::int64_t k,
                   std::optional<ByteVector> mask, std::optional<IntVector> ties, double skip,
                   std::int64_t rescored, std::optional<int> n_jobs) const {
    const PostingArrays& a = postings_->arrays();
    SparseSearch search;
    search.rows = rows.rows();
    search.queries = queries.rows();
    require(search.rows.n >= a.n, "rows: fewer than the postings'");
    require(queries.fits(a.n_terms), "queries: ascending terms below n_terms expected");
    const auto n = static_cast<std::size_t>(search.rows.n);
    require(!mask || mask->shape(0) >= n, "mask: one byte a row");
    require(!ties || ties->shape(0) >= n, "tie_keys: one a row");
    require(k >= 0, "k: must not be negative");
    search.mask = mask ? mask->data() : nullptr;
    search.ties = ties ? ties->data() : nullptr;
    require(skip >= 0.0 && rescored >= 0, "skip, rescored: must not be negative");
    search.k = k;
    search.skip = skip;
    search.rescored = rescored;
    search.n_jobs = resolve_jobs(n_jobs.value_or(0));
    const auto n_queries = static_cast<std::size_t>(search.queries.n);
    const auto width = static_cast<std::size_t>(k);
    std::vector<std::int64_t> positions(n_queries * width), counts(n_queries);
    std::vector<double> scores(n_queries * width);
    if (k > 0) {
      const nb::gil_scoped_release release;
      search.n_matches = search.rows.n;
      if (search.mask != nullptr) {
        search.n_matches = 0;
        for (std::size_t i = 0; i < n; ++i) search.n_matches += search.mask[i] != 0 ? 1 : 0;
      }
      search_sparse(*postings_, search, {positions.data(), scores.data(), counts.data()});
    }
    return nb::make_tuple(owned(std::move(positions), {n_queries, width}),
                          owned(std::move(scores), {n_queries, width}),
                          owned(std::move(counts), {n_queries}));
  }

 private:
  std::unique_ptr<Postings> postings_;
  nb::object arrays_;
};

nb::dict arrays_of(nb::handle_t<PostingsHolder> self) {
  const PostingArrays& a = nb::cast<const PostingsHolder&>(self).postings().arrays();
  const auto terms = static_cast<std::size_t>(a.n_terms);
  const auto postings = static_cast<std::size_t>(a.starts[a.n_terms]);
  const auto marked = static_cast<std::size_t>(a.n_marked);
  const auto windows = static_cast<std::size_t>(a.n_windows());
  nb::dict out;
  out["starts"] = view_of(a.starts, {terms + 1}, self);
  out["low"] = view_of(a.low, {postings}, self);
  out["high"] = view_of(a.high, {postings}, self);
  out["values"] = view_of(a.values, {postings}, self);
  out["steps"] = view_of(a.steps, {terms}, self);
  out["marked"] = view_of(a.marked, {terms}, self);
  out["marks"] = view_of(a.marks, {marked, windows + 1}, self);
  return out;
}

void check(bool ok, const char* what) {
  if (!ok) throw Error(ErrorKind::kFormat, std::string("postings: ") + what);
}

std::int64_t rows_of(const nb::dict& arrays, const char* name) {
  nb::ndarray<nb::ro, nb::device::cpu> array;
  check(arrays.contains(name) && nb::try_cast(arrays[name], array, false) && array.ndim() > 0,
        "an array is missing");
  return static_cast<std::int64_t>(array.shape(0));
}

// What a file says is checked here, once, so that a search never leaves its arrays.
PostingsHolder PostingsHolder::open(const nb::dict& arrays, std::int64_t n, std::int64_t n_terms) {
  PostingArrays a;
  a.n = n;
  a.n_terms = n_terms;
  a.n_marked = rows_of(arrays, "marks");
  const std::int64_t n_postings = rows_of(arrays, "low");
  check(n >= 0 && n_terms > 0, "no terms");
  a.starts = array_named<std::int64_t, 1>(arrays, "starts", {n_terms + 1});
  a.low = array_named<std::uint16_t, 1>(arrays, "low", {n_postings});
  a.high = array_named<std::uint16_t, 1>(arrays, "high", {n_postings});
  a.values = array_named<std::uint8_t, 1>(arrays, "values", {n_postings});
  a.steps = array_named<float, 1>(arrays, "steps", {n_terms});
  a.marked = array_named<std::int32_t, 1>(arrays, "marked", {n_terms});
  const std::int64_t windows = a.n_windows();
  a.marks = array_named<std::uint32_t, 2>(arrays, "marks", {a.n_marked, windows + 1});
  check(a.starts[0] == 0 && a.starts[n_terms] == n_postings, "lists do not fit");
  for (std::int64_t t = 0; t < n_terms; ++t) {
    const std::int64_t first = a.starts[t], count = a.starts[t + 1] - first;
    check(first >= 0 && count >= 0 && a.starts[t + 1] <= n_postings, "lists do not ascend");
    check(a.steps[t] >= 0.0F && std::isfinite(a.steps[t]), "a step is out of range");
    const std::int64_t line = a.marked[t];
    check(line >= -1 && line < a.n_marked, "a list has no marks");
    for (std::int64_t i = first; i < first + count; ++i)
      check(a.row(i) < n && a.values[i] > 0, "a posting is of no row");
    if (line < 0) continue;
    const std::uint32_t* marks = a.marks + line * (windows + 1);
    check(marks[0] == 0 && marks[windows] == count, "marks do not fit");
    for (std::int64_t w = 0; w < windows; ++w)
      check(marks[w] <= marks[w + 1] && marks[w + 1] <= count, "marks do not ascend");
  }
  return {std::make_unique<Postings>(a), nb::borrow(arrays)};
}

// Text of a str, which lives as long as that does.
std::string_view text_of(nb::handle text) {
  Py_ssize_t bytes = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &bytes);
  if (data == nullptr) {
    PyErr_Clear();
    throw Error(ErrorKind::kParameter,
                "texts: an entry is no str, or has half of a surrogate pair, which no UTF-8 text "
                "holds; replace it, as text.encode('utf-8', 'replace').decode() does");
  }
  return {data, static_cast<std::size_t>(bytes)};
}

nb::tuple cut(Words& words, const nb::list& texts, bool grow) {
  std::vector<std::string_view> views;
  views.reserve(texts.size());
  for (nb::handle text : texts) views.push_back(text_of(text));
  std::vector<std::int64_t> starts{0};
  std::vector<std::int32_t> numbers;
  {
    const nb::gil_scoped_release release;
    constexpr std::size_t kTexts = 1024;  // of a task: Ctrl-C is heard between tasks
    const auto n_tasks = static_cast<std::int64_t>((views.size() + kTexts - 1) / kTexts);
    parallel_for(n_tasks, 1, [&](std::int64_t task, int) {
      const auto first = static_cast<std::size_t>(task) * kTexts;
      for (std::size_t i = first; i < std::min(views.size(), first + kTexts); ++i) {
        words.cut(views[i], grow, numbers);
        starts.push_back(static_cast<std::int64_t>(numbers.size()));
      }
    });
  }
  const std::size_t n = starts.size(), total = numbers.size();
  return nb::make_tuple(owned(std::move(starts), {n}), owned(std::move(numbers), {total}));
}

nb::tuple count(IntVector starts, TermVector words, std::optional<TermVector> term_of,
                std::int64_t n_terms) {
  require(starts.shape(0) > 0 && starts.data()[0] == 0, "starts: begin with 0");
  const auto n = static_cast<std::int64_t>(starts.shape(0)) - 1;
  for (std::int64_t r = 0; r < n; ++r)
    require(starts.data()[r] <= starts.data()[r + 1], "starts: must ascend");
  require(starts.data()[n] == static_cast<std::int64_t>(words.shape(0)), "starts: end at words");
  const std::int64_t n_words = term_of ? static_cast<std::int64_t>(term_of->shape(0)) : n_terms;
  for (std::size_t i = 0; i < words.shape(0); ++i)
    require(words.data()[i] >= 0 && words.data()[i] < n_words, "words: out of range");
  for (std::int64_t w = 0; term_of && w < n_words; ++w)
    require(term_of->data()[w] < n_terms, "term_of: out of range");
  TermCounts counts;
  {
    const nb::gil_scoped_release release;
    parallel_for(1, 1, [&](std::int64_t, int) {
      counts =
          count_terms(starts.data(), n, words.data(), term_of ? term_of->data() : nullptr, n_terms);
    });
  }
  const std::size_t rows = counts.lengths.size(), total = counts.terms.size();
  return nb::make_tuple(
      owned(std::move(counts.starts), {rows + 1}), owned(std::move(counts.terms), {total}),
      owned(std::move(counts.counts), {total}), owned(std::move(counts.lengths), {rows}));
}

// What sums are worth a look, at a chosen CPU level, for tests: places, and the maximum of each 64.
nb::tuple sums_at(const std::string& name, const ShortVector& sums, std::uint16_t least) {
  const std::size_t n = sums.shape(0);
  const auto group = static_cast<std::size_t>(kSumsGroup);
  require(n % group == 0 && n <= 65536, "sums: a multiple of 64 up to 65536 expected");
  const SumsKernels& kernels = sums_kernels(simd_level_from_name(name));
  std::vector<std::uint16_t> places(n);
  std::vector<std::uint16_t> maxima(n / group);
  const auto size = static_cast<std::int64_t>(n);
  const std::int64_t found = kernels.places(sums.data(), size, least, places.data());
  kernels.maxima(sums.data(), size, maxima.data());
  places.resize(static_cast<std::size_t>(found));
  return nb::make_tuple(owned(std::move(places), {static_cast<std::size_t>(found)}),
                        owned(std::move(maxima), {n / group}));
}

}  // namespace

void bind_inverted(nb::module_& m) {
  nb::class_<SparseView>(m, "SparseRows", "Sparse rows: starts, ascending terms, weights.")
      .def(nb::init<IntVector, TermVector, FloatVector, std::int64_t>(), "starts"_a, "terms"_a,
           "weights"_a, "n"_a)
      .def("fits", &SparseView::fits, "n_terms"_a,
           "Whether terms ascend within each row, below n_terms.");
  nb::class_<PostingsHolder>(m, "Postings", "Lists of postings of sparse rows.")
      .def_static("build", &PostingsHolder::build, "rows"_a, "n_terms"_a, "n_jobs"_a = nb::none())
      .def_static("open", &PostingsHolder::open, "arrays"_a, "n"_a, "n_terms"_a)
      .def("arrays", &arrays_of, "Views of its arrays, for saving.")
      .def("__len__", [](const PostingsHolder& s) { return s.postings().arrays().n; })
      .def("search", &PostingsHolder::search, "rows"_a, "queries"_a, "k"_a, "mask"_a = nb::none(),
           "tie_keys"_a = nb::none(), "skip"_a = 0.0, "rescored"_a = 0, "n_jobs"_a = nb::none(),
           "(positions, scores, counts) of the k best rows; exact where rescored is 0.");
  nb::class_<Words>(m, "Words", "Words of texts, numbered as they come.")
      .def(
          "__init__",
          [](Words* self, PointVector ranges) {
            require(ranges.shape(0) % 2 == 0, "ranges: pairs of code points expected");
            new (self) Words(ranges.data(), ranges.shape(0) / 2);
          },
          "ranges"_a)
      .def("__len__", &Words::size)
      .def_prop_ro("nbytes", &Words::bytes)
      .def("cut", &cut, "texts"_a, "grow"_a,
           "(starts, numbers) of lower-cased texts; unknown words are taken in or left out.")
      .def(
          "take",
          [](Words& words, const nb::list& given) {
            std::vector<std::int32_t> numbers;
            for (nb::handle word : given) numbers.push_back(words.number(text_of(word), true));
            const std::size_t n = numbers.size();
            return owned(std::move(numbers), {n});
          },
          "words"_a, "Numbers of words as they are; unknown ones are taken in.")
      .def(
          "listed",
          [](const Words& words, std::int64_t first) {
            require(first >= 0 && first <= words.size(), "first: out of range");
            nb::list out;
            for (std::int64_t i = first; i < words.size(); ++i) {
              const std::string_view word = words.word(i);
              out.append(nb::str(word.data(), word.size()));
            }
            return out;
          },
          "first"_a, "Words from this number on.");
  auto kernels = nb::cast<nb::module_>(m.attr("kernels"));
  kernels.def("sums", &sums_at, "level"_a, "sums"_a, "least"_a);
  m.def("count_terms", &count, "starts"_a, "words"_a, "term_of"_a.none(), "n_terms"_a,
        "(starts, terms, counts, lengths) of texts that were cut into words.");
}

}  // namespace vl
