// SPDX-License-Identifier: Apache-2.0
// Learners over bags of n-grams.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "learn/bag_classifier.h"
#include "learn/bags.h"
#include "learn/dual_trainer.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

template <class T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class T>
std::span<const T> view(const Vector<T>& values) {
  return {values.data(), values.shape(0)};
}

void require(bool holds, const char* what) {
  if (!holds) throw Error(ErrorKind::kInternal, what);
}

// The n-grams of texts with the arrays that hold them.
struct Ngrams {
  Matrix<std::int32_t> rows;
  Vector<std::int64_t> offsets, sizes;

  NgramRows checked(std::size_t n_rows) const {
    const std::span<const std::int32_t> all(rows.data(), rows.size());
    require(rows.shape(1) == sizes.shape(0), "n-grams: a column a size was expected");
    for (const std::int64_t size : view(sizes)) require(size > 0, "n-grams: a size below 1");
    require(offsets.shape(0) > 0 && offsets.data()[0] == 0 &&
                offsets.data()[offsets.shape(0) - 1] == static_cast<std::int64_t>(rows.shape(0)),
            "n-grams: offsets that do not cover the positions");
    for (std::size_t t = 0; t + 1 < offsets.shape(0); ++t) {
      require(offsets.data()[t] <= offsets.data()[t + 1], "n-grams: offsets that fall");
    }
    for (const std::int32_t row : all) {
      require(row < static_cast<std::int64_t>(n_rows), "n-grams: a row that is not there");
    }
    return {all, view(offsets), view(sizes)};
  }
};

void check_items(std::span<const std::int64_t> items, std::int64_t n_texts) {
  for (const std::int64_t item : items) {
    require(item >= 0 && item < n_texts, "a text that is not there");
  }
}

void encode(const Ngrams& ngrams, const Matrix<float>& table, bool mean, double power,
            const Table& out, std::optional<int> n_jobs) {
  const NgramRows texts = ngrams.checked(table.shape(0));
  require(
      out.shape(0) == static_cast<std::size_t>(texts.n_texts()) && out.shape(1) == table.shape(1),
      "encode_bags: an output of another shape");
  const nb::gil_scoped_release release;
  encode_bags(texts, mean ? BagWeight::kMean : BagWeight::kLog, table.data(),
              static_cast<std::int64_t>(table.shape(1)), power, out.data(),
              resolve_jobs(n_jobs.value_or(0)));
}

// A trainer with the arrays that it looks at.
struct DualCore {
  DualCore(const Ngrams& given, Vector<std::int64_t> given_heads, const Vector<std::int64_t>& items,
           Matrix<std::int32_t> given_neighbours, Table given_table, Floats given_squares,
           DualOptions options)
      : ngrams(given),
        heads(std::move(given_heads)),
        neighbours(std::move(given_neighbours)),
        table(std::move(given_table)),
        squares(std::move(given_squares)) {
    const NgramRows texts = ngrams.checked(table.shape(0));
    require(squares.shape(0) == table.shape(0), "DualTrainer: squares of another length");
    require(static_cast<std::int64_t>(heads.shape(0)) == texts.n_texts(),
            "DualTrainer: a head a text was expected");
    for (std::int64_t t = 0; t < texts.n_texts(); ++t) {
      const std::int64_t head = heads.data()[t];
      require(head >= texts.begin(t) && head <= texts.end(t),
              "DualTrainer: a head out of its text");
    }
    check_items(view(items), texts.n_texts());
    const std::span<const std::int32_t> near(neighbours.data(), neighbours.size());
    require(neighbours.shape(0) == items.shape(0), "DualTrainer: neighbours of other texts");
    for (const std::int32_t place : near) {
      require(place >= 0 && place < static_cast<std::int64_t>(items.shape(0)),
              "DualTrainer: a neighbour that is not there");
    }
    require(options.batch > 0 && options.group > 0 && options.epochs > 0 && options.shortest > 0 &&
                options.longest >= options.shortest,
            "DualTrainer: options out of range");
    options.dim = static_cast<std::int64_t>(table.shape(1));
    trainer = std::make_unique<DualTrainer>(texts, view(heads), view(items), near, table.data(),
                                            squares.data(), options);
  }

  Ngrams ngrams;
  Vector<std::int64_t> heads;
  Matrix<std::int32_t> neighbours;
  Table table;
  Floats squares;
  std::unique_ptr<DualTrainer> trainer;
};

struct ClassifierCore {
  ClassifierCore(const Ngrams& given, Vector<std::int32_t> given_labels,
                 const Vector<std::int64_t>& items, Table given_table, Floats given_squares,
                 Table given_head, Floats given_head_squares, ClassifierOptions options)
      : ngrams(given),
        labels(std::move(given_labels)),
        table(std::move(given_table)),
        squares(std::move(given_squares)),
        head(std::move(given_head)),
        head_squares(std::move(given_head_squares)) {
    const NgramRows texts = ngrams.checked(table.shape(0));
    require(squares.shape(0) == table.shape(0) && head_squares.shape(0) == head.shape(0) &&
                head.shape(1) == table.shape(1) + 1,
            "BagClassifier: matrices that do not fit");
    require(static_cast<std::int64_t>(labels.shape(0)) == texts.n_texts(),
            "BagClassifier: a label a text was expected");
    for (const std::int32_t label : view(labels)) {
      require(label >= 0 && label < static_cast<std::int64_t>(head.shape(0)),
              "BagClassifier: a class that is not there");
    }
    check_items(view(items), texts.n_texts());
    require(options.batch > 0 && options.epochs > 0, "BagClassifier: options out of range");
    options.dim = static_cast<std::int64_t>(table.shape(1));
    options.n_classes = static_cast<std::int64_t>(head.shape(0));
    trainer =
        std::make_unique<BagClassifier>(texts, view(labels), view(items), table.data(),
                                        squares.data(), head.data(), head_squares.data(), options);
  }

  Ngrams ngrams;
  Vector<std::int32_t> labels;
  Table table;
  Floats squares;
  Table head;
  Floats head_squares;
  std::unique_ptr<BagClassifier> trainer;
};

template <class Core>
auto run_steps(Core& core, std::int64_t begin, std::int64_t end, std::optional<int> n_jobs) {
  require(begin >= 0 && begin <= end && end <= core.trainer->n_steps(), "steps that are not there");
  const nb::gil_scoped_release release;
  return core.trainer->run(begin, end, n_jobs.value_or(0));
}

template <class Core>
auto evaluate_items(Core& core, const Vector<std::int64_t>& items, std::optional<int> n_jobs) {
  check_items(view(items), static_cast<std::int64_t>(core.ngrams.offsets.shape(0)) - 1);
  const nb::gil_scoped_release release;
  return core.trainer->evaluate(view(items), n_jobs.value_or(0));
}

nb::tuple as_tuple(const DualLoss& loss) { return nb::make_tuple(loss.sum, loss.pairs); }
nb::tuple as_tuple(const ClassifierLoss& loss) {
  return nb::make_tuple(loss.sum, loss.correct, loss.texts);
}

template <class Core>
void bind_steps(nb::class_<Core>& bound) {
  bound
      .def(
          "run",
          [](Core& core, std::int64_t begin, std::int64_t end, std::optional<int> n_jobs) {
            return as_tuple(run_steps(core, begin, end, n_jobs));
          },
          "begin"_a, "end"_a, "n_jobs"_a = nb::none())
      .def(
          "evaluate",
          [](Core& core, const Vector<std::int64_t>& items, std::optional<int> n_jobs) {
            return as_tuple(evaluate_items(core, items, n_jobs));
          },
          "items"_a, "n_jobs"_a = nb::none())
      .def_prop_ro("n_steps", [](const Core& core) { return core.trainer->n_steps(); });
}

}  // namespace

void bind_bags(nb::module_& m) {
  nb::class_<Ngrams>(m, "Ngrams")
      .def(
          "__init__",
          [](Ngrams* self, Matrix<std::int32_t> rows, Vector<std::int64_t> offsets,
             Vector<std::int64_t> sizes) {
            new (self) Ngrams{std::move(rows), std::move(offsets), std::move(sizes)};
          },
          "rows"_a, "offsets"_a, "sizes"_a);
  m.def("encode_bags", &encode, "ngrams"_a, "table"_a, nb::kw_only(), "mean"_a, "power"_a, "out"_a,
        "n_jobs"_a = nb::none());
  nb::class_<DualCore> dual(m, "DualTrainer");
  dual.def(
      "__init__",
      [](DualCore* self, const Ngrams& ngrams, Vector<std::int64_t> heads,
         const Vector<std::int64_t>& items, Matrix<std::int32_t> neighbours, Table table,
         Floats squares, std::int64_t batch, std::int64_t group, std::int64_t epochs, double rate,
         double scale, double power, double head_share, double whole_share, std::int64_t shortest,
         std::int64_t longest, std::uint64_t seed) {
        DualOptions options;
        options.batch = batch;
        options.group = group;
        options.epochs = epochs;
        options.rate = rate;
        options.scale = scale;
        options.power = power;
        options.head_share = head_share;
        options.whole_share = whole_share;
        options.shortest = shortest;
        options.longest = longest;
        options.seed = seed;
        new (self) DualCore(ngrams, std::move(heads), items, std::move(neighbours),
                            std::move(table), std::move(squares), options);
      },
      "ngrams"_a, "heads"_a, "items"_a, "neighbours"_a, "table"_a, "squares"_a, nb::kw_only(),
      "batch"_a, "group"_a, "epochs"_a, "rate"_a, "scale"_a, "power"_a, "head_share"_a,
      "whole_share"_a, "shortest"_a, "longest"_a, "seed"_a);
  bind_steps(dual);
  nb::class_<ClassifierCore> classifier(m, "BagClassifier");
  classifier.def(
      "__init__",
      [](ClassifierCore* self, const Ngrams& ngrams, Vector<std::int32_t> labels,
         const Vector<std::int64_t>& items, Table table, Floats squares, Table head,
         Floats head_squares, std::int64_t batch, std::int64_t epochs, double rate,
         std::uint64_t seed) {
        ClassifierOptions options;
        options.batch = batch;
        options.epochs = epochs;
        options.rate = rate;
        options.seed = seed;
        new (self)
            ClassifierCore(ngrams, std::move(labels), items, std::move(table), std::move(squares),
                           std::move(head), std::move(head_squares), options);
      },
      "ngrams"_a, "labels"_a, "items"_a, "table"_a, "squares"_a, "head"_a, "head_squares"_a,
      nb::kw_only(), "batch"_a, "epochs"_a, "rate"_a, "seed"_a);
  bind_steps(classifier);
}

}  // namespace vl
