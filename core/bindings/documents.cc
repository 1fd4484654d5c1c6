// SPDX-License-Identifier: Apache-2.0
// Learners of texts that are not trained by windows.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "base/errors.h"
#include "bindings/bindings.h"
#include "bindings/tables.h"
#include "bindings/trainers.h"
#include "learn/matrix_trainer.h"
#include "learn/sentence_trainer.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

// A trainer with the arrays that it looks at.
struct SentenceTrainerCore {
  SentenceTrainerCore(Vector<std::int32_t> given_tokens, Vector<std::int64_t> given_counts,
                      Vector<std::int32_t> given_grams, Table given_in, Table given_out,
                      int n_orders, const SentenceOptions& options)
      : tokens(std::move(given_tokens)),
        counts(std::move(given_counts)),
        grams(std::move(given_grams)),
        in(std::move(given_in)),
        out(std::move(given_out)) {
    const auto n_words = static_cast<std::int64_t>(counts.shape(0));
    check_tokens(tokens, n_words, true);
    check_table(in, n_words, options.steps);
    check_table(out, n_words, options.steps);
    if (grams.shape(0) != tokens.shape(0) * static_cast<std::size_t>(n_orders)) {
      throw Error(ErrorKind::kInternal, "SentenceTrainer: n-grams of other tokens");
    }
    for (const std::int32_t row : view(grams)) {
      if (row < -1 || row >= static_cast<std::int64_t>(in.shape(0))) {
        throw Error(ErrorKind::kInternal, "SentenceTrainer: an n-gram has no row");
      }
    }
    trainer = std::make_unique<SentenceTrainer>(view(tokens), view(counts), view(grams), n_orders,
                                                in.data(), out.data(), options);
  }

  nb::tuple run(std::int64_t begin, std::int64_t end, std::optional<int> n_jobs) {
    return run_steps(*trainer, begin, end, n_jobs);
  }

  nb::tuple evaluate(std::optional<int> n_jobs) { return evaluate_steps(*trainer, n_jobs); }

  Vector<std::int32_t> tokens;
  Vector<std::int64_t> counts;
  Vector<std::int32_t> grams;
  Table in, out;
  std::unique_ptr<SentenceTrainer> trainer;
};

struct MatrixTrainerCore {
  MatrixTrainerCore(Vector<std::int32_t> given_tokens, Vector<std::int64_t> given_counts,
                    Table given_in, Table given_out, const MatrixOptions& options)
      : tokens(std::move(given_tokens)),
        counts(std::move(given_counts)),
        in(std::move(given_in)),
        out(std::move(given_out)) {
    const auto n_words = static_cast<std::int64_t>(counts.shape(0));
    check_tokens(tokens, n_words, true);
    check_table(in, n_words, MatrixTrainer::steps_of(options));
    check_table(out, n_words, MatrixTrainer::steps_of(options));
    trainer =
        std::make_unique<MatrixTrainer>(view(tokens), view(counts), in.data(), out.data(), options);
  }

  nb::tuple run(std::int64_t begin, std::int64_t end, std::optional<int> n_jobs) {
    return run_steps(*trainer, begin, end, n_jobs);
  }

  nb::tuple evaluate(std::optional<int> n_jobs) { return evaluate_steps(*trainer, n_jobs); }

  void encode(std::int64_t begin, std::int64_t end, const Table& texts, std::optional<int> n_jobs) {
    if (begin < 0 || end > trainer->n_texts() || begin > end) {
      throw Error(ErrorKind::kInternal, "MatrixTrainer: texts that are not there");
    }
    check_table(texts, trainer->n_texts(), static_cast<int>(in.shape(1)) / kRowStep);
    const nb::gil_scoped_release release;
    trainer->encode(begin, end, texts.data(), n_jobs.value_or(0));
  }

  Vector<std::int32_t> tokens;
  Vector<std::int64_t> counts;
  Table in, out;
  std::unique_ptr<MatrixTrainer> trainer;
};

void bind_matrices(nb::module_& m) {
  nb::class_<MatrixTrainerCore>(m, "MatrixTrainer")
      .def(
          "__init__",
          [](MatrixTrainerCore* self, Vector<std::int32_t> tokens, Vector<std::int64_t> counts,
             Table in, Table out, int mean_size, int matrix_size, int window, int negative,
             bool deterministic, double sample, double noise_exponent, double alpha,
             double min_alpha, std::int64_t epochs, std::uint64_t seed) {
            MatrixOptions options;
            options.mean_steps = (mean_size + kRowStep - 1) / kRowStep;
            options.size = matrix_size;
            options.window = window;
            options.negative = negative;
            options.deterministic = deterministic;
            options.sample = sample;
            options.noise_exponent = noise_exponent;
            options.alpha = alpha;
            options.min_alpha = min_alpha;
            options.epochs = epochs;
            options.seed = seed;
            new (self) MatrixTrainerCore(std::move(tokens), std::move(counts), std::move(in),
                                         std::move(out), options);
          },
          "tokens"_a, "counts"_a, "inputs"_a, "outputs"_a, nb::kw_only(), "mean_size"_a,
          "matrix_size"_a, "window"_a, "negative"_a, "deterministic"_a, "sample"_a,
          "noise_exponent"_a, "alpha"_a, "min_alpha"_a, "epochs"_a, "seed"_a)
      .def("run", &MatrixTrainerCore::run, "begin"_a, "end"_a, "n_jobs"_a = nb::none())
      .def("evaluate", &MatrixTrainerCore::evaluate, "n_jobs"_a = nb::none())
      .def("encode", &MatrixTrainerCore::encode, "begin"_a, "end"_a, "texts"_a,
           "n_jobs"_a = nb::none())
      .def_prop_ro("n_steps", [](const MatrixTrainerCore& c) { return c.trainer->n_steps(); });
}

}  // namespace

void bind_documents(nb::module_& m) {
  bind_matrices(m);
  nb::class_<SentenceTrainerCore>(m, "SentenceTrainer")
      .def(
          "__init__",
          [](SentenceTrainerCore* self, Vector<std::int32_t> tokens, Vector<std::int64_t> counts,
             Vector<std::int32_t> grams, Table in, Table out, int n_orders, int negative,
             bool deterministic, double sample, double noise_exponent, double alpha,
             double min_alpha, std::int64_t epochs, std::uint64_t seed) {
            SentenceOptions options;
            options.steps = static_cast<int>(in.shape(1)) / kRowStep;
            options.negative = negative;
            options.deterministic = deterministic;
            options.sample = sample;
            options.noise_exponent = noise_exponent;
            options.alpha = alpha;
            options.min_alpha = min_alpha;
            options.epochs = epochs;
            options.seed = seed;
            new (self) SentenceTrainerCore(std::move(tokens), std::move(counts), std::move(grams),
                                           std::move(in), std::move(out), n_orders, options);
          },
          "tokens"_a, "counts"_a, "grams"_a, "inputs"_a, "outputs"_a, nb::kw_only(), "n_orders"_a,
          "negative"_a, "deterministic"_a, "sample"_a, "noise_exponent"_a, "alpha"_a, "min_alpha"_a,
          "epochs"_a, "seed"_a)
      .def("run", &SentenceTrainerCore::run, "begin"_a, "end"_a, "n_jobs"_a = nb::none())
      .def("evaluate", &SentenceTrainerCore::evaluate, "n_jobs"_a = nb::none())
      .def_prop_ro("n_steps", [](const SentenceTrainerCore& c) { return c.trainer->n_steps(); });
}

}  // namespace vl
