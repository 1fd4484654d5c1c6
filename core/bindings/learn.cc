// SPDX-License-Identifier: Apache-2.0
// Corpora and word learners.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned.h"
#include "base/errors.h"
#include "base/random.h"
#include "bindings/bindings.h"
#include "bindings/tables.h"
#include "bindings/trainers.h"
#include "learn/cooccurrence.h"
#include "learn/glove.h"
#include "learn/subwords.h"
#include "learn/tokenizer.h"
#include "learn/vocabulary.h"
#include "learn/word_trainer.h"
#include "simd/window.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

constexpr std::uint32_t kInitStream = 0x77617264;  // far from the two of each epoch

// A matrix of zeros whose rows begin at cache lines, `dim` of the `steps` * 16 columns drawn from
// [-scale, scale).
nb::ndarray<nb::numpy, float> row_matrix(std::int64_t n, std::int64_t dim, float scale,
                                         std::uint64_t seed) {
  const std::int64_t stride = (dim + kRowStep - 1) / kRowStep * kRowStep;
  auto memory = std::make_unique<AlignedBuffer<float>>(
      static_cast<std::size_t>(std::max<std::int64_t>(n, 1) * stride));
  float* data = memory->data();
  {
    const nb::gil_scoped_release release;
    std::fill(data, data + memory->size(), 0.0f);
    for (std::int64_t r = 0; scale > 0.0f && r < n; ++r) {
      Random random(seed, kInitStream, static_cast<std::uint64_t>(r));
      for (std::int64_t d = 0; d < dim; ++d) {
        data[r * stride + d] = scale * (2.0f * random.uniform() - 1.0f);
      }
    }
  }
  const nb::capsule owner(memory.release(),
                          [](void* p) noexcept { delete static_cast<AlignedBuffer<float>*>(p); });
  return nb::ndarray<nb::numpy, float>(
      data, {static_cast<std::size_t>(n), static_cast<std::size_t>(stride)}, owner);
}

// The trainer with the arrays that it looks at.
struct WordTrainerCore {
  WordTrainerCore(Vector<std::int32_t> given_tokens, Vector<std::int64_t> given_counts,
                  Table given_in, Table given_out,
                  std::optional<Vector<std::int64_t>> given_offsets,
                  std::optional<Vector<std::int32_t>> given_rows, std::optional<Table> given_texts,
                  const WordOptions& options)
      : tokens(std::move(given_tokens)),
        counts(std::move(given_counts)),
        in(std::move(given_in)),
        out(std::move(given_out)),
        offsets(std::move(given_offsets)),
        rows(std::move(given_rows)),
        texts(std::move(given_texts)) {
    const auto n_words = static_cast<std::int64_t>(counts.shape(0));
    WordBags bags;
    if (offsets.has_value() && rows.has_value()) {
      bags.offsets = view(*offsets);
      bags.rows = view(*rows);
    }
    const bool by_word = bags.offsets.empty() && options.text != TextInput::kAlone;
    check_table(in, by_word ? n_words : 0, options.steps);
    const std::int64_t nodes = options.tree ? n_words - 1 : 0;
    check_table(out, n_words + nodes, options.steps);
    for (const std::int32_t row : bags.rows) {
      if (row < 0 || row >= static_cast<std::int64_t>(in.shape(0))) {
        throw Error(ErrorKind::kInternal, "WordTrainer: a bag names a row that is not there");
      }
    }
    check_tokens(tokens, n_words, options.text != TextInput::kNone);
    if (options.text != TextInput::kNone && !texts.has_value()) {
      throw Error(ErrorKind::kInternal, "WordTrainer: texts are inputs, but there are no rows");
    }
    trainer = std::make_unique<WordTrainer>(view(tokens), view(counts), bags, in.data(), out.data(),
                                            texts.has_value() ? texts->data() : nullptr, options);
    if (options.text == TextInput::kNone) return;
    check_table(*texts, trainer->n_texts(), options.steps);
  }

  void infer(std::int64_t begin, std::int64_t end, std::optional<int> n_jobs) {
    if (begin < 0 || end > trainer->n_texts() || begin > end) {
      throw Error(ErrorKind::kInternal, "WordTrainer: texts that are not there");
    }
    const nb::gil_scoped_release release;
    trainer->infer(begin, end, n_jobs.value_or(0));
  }

  nb::tuple run(std::int64_t begin, std::int64_t end, std::optional<int> n_jobs) {
    return run_steps(*trainer, begin, end, n_jobs);
  }

  nb::tuple evaluate(std::optional<int> n_jobs) { return evaluate_steps(*trainer, n_jobs); }

  Vector<std::int32_t> tokens;
  Vector<std::int64_t> counts;
  Table in, out;
  std::optional<Vector<std::int64_t>> offsets;
  std::optional<Vector<std::int32_t>> rows;
  std::optional<Table> texts;
  std::unique_ptr<WordTrainer> trainer;
};

template <class T>
nb::ndarray<nb::numpy, T> owned(std::vector<T>&& values) {
  auto holder = std::make_unique<std::vector<T>>(std::move(values));
  T* data = holder->data();
  const std::size_t n = holder->size();
  const nb::capsule owner(holder.release(),
                          [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::ndarray<nb::numpy, T>(data, {n}, owner);
}

// Python's bytes or str as UTF-8, without a copy.
std::string_view text_of(nb::handle text) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_Check(text.ptr())) {
    if (PyBytes_AsStringAndSize(text.ptr(), &data, &size) != 0) throw nb::python_error();
    return {data, static_cast<std::size_t>(size)};
  }
  const char* utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (utf8 == nullptr) throw nb::python_error();
  return {utf8, static_cast<std::size_t>(size)};
}

// Cuts and counts one corpus.
struct CorpusCore {
  CorpusCore(Vector<std::uint8_t> given_classes, Vector<std::int32_t> given_lower,
             const TokenizerRules& rules, std::int64_t limit)
      : classes(std::move(given_classes)),
        lower(std::move(given_lower)),
        tokenizer(view(classes), view(lower), rules),
        counter(limit) {}

  // The offset of what is not UTF-8, or -1.
  std::int64_t add_text(nb::handle text, bool ends_line, bool forgiving) {
    const std::string_view bytes = text_of(text);
    const nb::gil_scoped_release release;
    const std::int64_t broken = tokenizer.split(
        bytes, forgiving, [this](std::string_view word) { counter.add(word); },
        [this] { counter.end_line(); });
    if (ends_line) counter.end_line();
    return broken;
  }

  void add_words(const nb::list& words) {
    for (const nb::handle word : words) counter.add(text_of(word));
    counter.end_line();
  }

  nb::list split(nb::handle text) {
    nb::list lines;
    nb::list words;
    const auto close = [&] {
      if (nb::len(words) > 0) lines.append(words);
      words = nb::list();
    };
    tokenizer.split(
        text_of(text), true,
        [&](std::string_view word) { words.append(nb::str(word.data(), word.size())); }, close);
    close();
    return lines;
  }

  nb::tuple finish(std::int64_t min_count, std::int64_t max_words) {
    FinalWords words;
    {
      const nb::gil_scoped_release release;
      words = counter.finish(min_count, max_words);
    }
    nb::list names;
    for (std::size_t w = 0; w < words.counts.size(); ++w) {
      const auto begin = static_cast<std::size_t>(words.offsets[w]);
      const auto end = static_cast<std::size_t>(words.offsets[w + 1]);
      names.append(nb::str(words.bytes.data() + begin, end - begin));
    }
    return nb::make_tuple(names, owned(std::move(words.counts)), owned(std::move(words.numbers)));
  }

  Vector<std::uint8_t> classes;
  Vector<std::int32_t> lower;
  Tokenizer tokenizer;
  VocabularyCounter counter;
};

// (tokens left, whether the last sentence is open).
nb::tuple renumber_tokens(nb::ndarray<std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu> t,
                          const Vector<std::int32_t>& numbers, bool open) {
  std::int64_t left = 0;
  {
    const nb::gil_scoped_release release;
    left = renumber(t.data(), static_cast<std::int64_t>(t.shape(0)), numbers.data(),
                    static_cast<std::int64_t>(numbers.shape(0)), open);
  }
  return nb::make_tuple(left, open);
}

void bind_corpus(nb::module_& m) {
  nb::class_<CorpusCore>(m, "CorpusCore")
      .def(
          "__init__",
          [](CorpusCore* self, Vector<std::uint8_t> classes, Vector<std::int32_t> lower,
             bool by_blanks, bool lowercase, bool digits, int min_length, int max_length,
             std::int64_t limit) {
            const TokenizerRules rules{by_blanks, lowercase, digits, min_length, max_length};
            new (self) CorpusCore(std::move(classes), std::move(lower), rules, limit);
          },
          "classes"_a, "lower"_a, nb::kw_only(), "by_blanks"_a, "lowercase"_a, "digits"_a,
          "min_length"_a, "max_length"_a, "limit"_a)
      .def("add_text", &CorpusCore::add_text, "text"_a, "ends_line"_a, "forgiving"_a)
      .def("add_words", &CorpusCore::add_words, "words"_a)
      .def("split", &CorpusCore::split, "text"_a)
      .def("take_tokens", [](CorpusCore& c) { return owned(c.counter.take_tokens()); })
      .def("finish", &CorpusCore::finish, "min_count"_a, "max_words"_a)
      .def_prop_ro("pending", [](const CorpusCore& c) { return c.counter.pending(); })
      .def_prop_ro("n_tokens", [](const CorpusCore& c) { return c.counter.n_tokens(); })
      .def_prop_ro("n_words", [](const CorpusCore& c) { return c.counter.n_words(); })
      .def_prop_ro("lost", [](const CorpusCore& c) { return c.counter.lost(); });
  m.def("renumber", &renumber_tokens, "tokens"_a, "numbers"_a, "open"_a);
}

// (offsets int64 (n + 1,), buckets int32) of the n-grams of each word.
nb::tuple word_subwords(const nb::list& words, int min_n, int max_n, std::uint32_t n_buckets) {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> buckets;
  for (const nb::handle word : words) {
    subword_buckets(text_of(word), min_n, max_n, n_buckets, buckets);
    offsets.push_back(static_cast<std::int64_t>(buckets.size()));
  }
  return nb::make_tuple(owned(std::move(offsets)), owned(std::move(buckets)));
}

// (offsets int64 (n + 1,), columns int32, values float32) of the symmetric matrix.
nb::tuple cooccurrence_of(const Vector<std::int32_t>& tokens, std::int64_t n_words, int window,
                          int weight, std::optional<int> n_jobs) {
  check_tokens(tokens, n_words, false);
  SparseCounts counts;
  {
    const nb::gil_scoped_release release;
    counts = cooccurrence(view(tokens), n_words, window, static_cast<PairWeight>(weight),
                          n_jobs.value_or(0));
  }
  return nb::make_tuple(owned(std::move(counts.offsets)), owned(std::move(counts.columns)),
                        owned(std::move(counts.values)));
}

void bind_glove(nb::module_& m) {
  nb::class_<GloveTrainer>(m, "GloveTrainer")
      .def(
          "__init__",
          [](GloveTrainer* self, const Vector<std::int64_t>& offsets,
             const Vector<std::int32_t>& columns, const Vector<float>& values, std::int64_t dim,
             double x_max, double power, double rate, std::uint64_t seed) {
            const std::int64_t n = static_cast<std::int64_t>(offsets.shape(0)) - 1;
            for (const std::int32_t column : view(columns)) {
              if (column < 0 || column >= n) {
                throw Error(ErrorKind::kInternal, "GloveTrainer: a column that is not there");
              }
            }
            if (n < 1 || offsets.data()[n] != static_cast<std::int64_t>(columns.shape(0)) ||
                columns.shape(0) != values.shape(0)) {
              throw Error(ErrorKind::kInternal, "GloveTrainer: no sparse matrix");
            }
            new (self) GloveTrainer(view(offsets), view(columns), view(values),
                                    {dim, x_max, power, rate, seed});
          },
          "offsets"_a, "columns"_a, "values"_a, nb::kw_only(), "dim"_a, "x_max"_a, "power"_a,
          "rate"_a, "seed"_a)
      .def(
          "epoch",
          [](GloveTrainer& trainer, std::optional<int> n_jobs) {
            const nb::gil_scoped_release release;
            return trainer.epoch(n_jobs.value_or(0));
          },
          "n_jobs"_a = nb::none())
      .def(
          "vectors",
          [](const GloveTrainer& trainer, const Table& out) { trainer.vectors(out.data()); },
          "out"_a);
}

std::vector<float*> rows_of(const Table& table) {
  std::vector<float*> rows(table.shape(0));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = table.data() + i * table.shape(1);
  return rows;
}

// One window at a chosen CPU level, for tests: returns the gradients and moves the rows.
nb::ndarray<nb::numpy, float> window_step(const std::string& name, const Table& in,
                                          const Table& out,
                                          const std::optional<Vector<float>>& labels,
                                          const Vector<float>& rates) {
  const WindowKernels& kernels = window_kernels(simd_level_from_name(name));
  const auto m = static_cast<int>(in.shape(0));
  const auto n = static_cast<int>(out.shape(0));
  const auto width = static_cast<int>(in.shape(1));
  check_table(in, m, width / kRowStep);
  check_table(out, n, width / kRowStep);
  std::vector<float*> inputs = rows_of(in);
  std::vector<float*> outputs = rows_of(out);
  std::vector<float> gradients(in.shape(0) * out.shape(0) + kGradientSlack);
  kernels.scores(inputs.data(), m, outputs.data(), n, labels.has_value() ? labels->data() : nullptr,
                 rates.data(), width / kRowStep, gradients.data());
  kernels.update(inputs.data(), m, outputs.data(), n, gradients.data(), 0, width / kRowStep);
  gradients.resize(in.shape(0) * out.shape(0));
  return owned(std::move(gradients));
}

// One input moved by its gradients at a chosen CPU level, for tests; the outputs stay.
void window_pull(const std::string& name, const Table& row, const Table& out,
                 const Vector<float>& gradients) {
  const int steps = static_cast<int>(row.shape(1)) / kRowStep;
  const std::vector<float*> outputs = rows_of(out);
  window_kernels(simd_level_from_name(name))
      .pull(row.data(), outputs.data(), static_cast<int>(out.shape(0)), gradients.data(), 0, steps);
}

// Rows moved by their own scaled sum, at a chosen CPU level, for tests.
void window_bag(const std::string& name, const Table& rows, float scale,
                const Vector<float>& weights) {
  const WindowKernels& kernels = window_kernels(simd_level_from_name(name));
  const auto n = static_cast<int>(rows.shape(0));
  const auto width = static_cast<int>(rows.shape(1));
  std::vector<float*> data = rows_of(rows);
  const std::vector<float> before(static_cast<std::size_t>(width));
  std::vector<float> after(static_cast<std::size_t>(width));
  kernels.sum(data.data(), n, scale, after.data(), 0, width / kRowStep);
  kernels.add(data.data(), n, weights.data(), after.data(), before.data(), 0, width / kRowStep);
}

}  // namespace

void bind_learn(nb::module_& m) {
  bind_corpus(m);
  bind_glove(m);
  m.def("word_subwords", &word_subwords, "words"_a, "min_n"_a, "max_n"_a, "n_buckets"_a);
  m.def("cooccurrence", &cooccurrence_of, "tokens"_a, "n_words"_a, "window"_a, "weight"_a,
        "n_jobs"_a = nb::none());
  auto kernels = nb::cast<nb::module_>(m.attr("kernels"));
  kernels.def("window_step", &window_step, "level"_a, "inputs"_a, "outputs"_a, "labels"_a.none(),
              "rates"_a);
  kernels.def("window_pull", &window_pull, "level"_a, "row"_a, "outputs"_a, "gradients"_a);
  kernels.def("window_bag", &window_bag, "level"_a, "rows"_a, "scale"_a, "weights"_a);
  m.def("row_matrix", &row_matrix, "n"_a, "dim"_a, "scale"_a = 0.0f, "seed"_a = 0);
  nb::class_<WordTrainerCore>(m, "WordTrainer")
      .def(
          "__init__",
          [](WordTrainerCore* self, Vector<std::int32_t> tokens, Vector<std::int64_t> counts,
             Table in, Table out, std::optional<Vector<std::int64_t>> offsets,
             std::optional<Vector<std::int32_t>> rows, std::optional<Table> texts, int window,
             int negative, bool tree, bool cbow, bool cbow_mean, bool deterministic, double sample,
             double noise_exponent, double alpha, double min_alpha, std::int64_t epochs,
             std::uint64_t seed, int text, bool binary, std::int64_t infer_words,
             double infer_ridge) {
            WordOptions options;
            options.steps = static_cast<int>(in.shape(1)) / kRowStep;
            options.window = window;
            options.negative = negative;
            options.tree = tree;
            options.cbow = cbow;
            options.cbow_mean = cbow_mean;
            options.deterministic = deterministic;
            options.sample = sample;
            options.noise_exponent = noise_exponent;
            options.alpha = alpha;
            options.min_alpha = min_alpha;
            options.epochs = epochs;
            options.seed = seed;
            options.text = static_cast<TextInput>(text);
            options.binary = binary;
            options.infer_words = infer_words;
            options.infer_ridge = infer_ridge;
            new (self)
                WordTrainerCore(std::move(tokens), std::move(counts), std::move(in), std::move(out),
                                std::move(offsets), std::move(rows), std::move(texts), options);
          },
          "tokens"_a, "counts"_a, "inputs"_a, "outputs"_a, "bag_offsets"_a = nb::none(),
          "bag_rows"_a = nb::none(), "texts"_a = nb::none(), nb::kw_only(), "window"_a,
          "negative"_a, "tree"_a, "cbow"_a, "cbow_mean"_a, "deterministic"_a, "sample"_a,
          "noise_exponent"_a, "alpha"_a, "min_alpha"_a, "epochs"_a, "seed"_a, "text"_a = 0,
          "binary"_a = false, "infer_words"_a = 0, "infer_ridge"_a = 0.0)
      .def("infer", &WordTrainerCore::infer, "begin"_a, "end"_a, "n_jobs"_a = nb::none())
      .def("run", &WordTrainerCore::run, "begin"_a, "end"_a, "n_jobs"_a = nb::none())
      .def("evaluate", &WordTrainerCore::evaluate, "n_jobs"_a = nb::none())
      .def_prop_ro("n_steps", [](const WordTrainerCore& c) { return c.trainer->n_steps(); });
}

}  // namespace vl
