// SPDX-License-Identifier: Apache-2.0
// `_core.kernels`: single kernels and parts of the base at a chosen CPU level, so that tests can
// hold each against the scalar one. Nothing in the Python package uses it.
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/cgroup.h"
#include "base/errors.h"
#include "base/float16.h"
#include "base/random.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "simd/pair.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

template <class T>
using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using AnyMatrix = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Positions = std::optional<Vector<std::int64_t>>;
template <class T>
using Answer = nb::ndarray<nb::numpy, T, nb::ndim<1>>;

template <class T>
Answer<T> make_answer(std::size_t n, T** data) {
  auto memory = std::make_unique<AlignedBuffer<T>>(n == 0 ? 1 : n);
  *data = memory->data();
  const nb::capsule owner(memory.release(),
                          [](void* p) noexcept { delete static_cast<AlignedBuffer<T>*>(p); });
  return Answer<T>(*data, {n}, owner);
}

const PairKernels& kernels_at(const std::string& name) {
  const SimdLevel level = simd_level_from_name(name);
  for (const SimdLevel have : host_simd_levels()) {
    if (have == level) return pair_kernels(level);
  }
  throw Error(ErrorKind::kParameter, "level '" + name +
                                         "' cannot run on this host; see simd_levels() for those "
                                         "that can");
}

int kind_named(const std::string& name) {
  static const std::array<const char*, 5> names = {"float32", "float16", "bfloat16", "int8",
                                                   "uint8"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (name == names[i]) return static_cast<int>(i);
  }
  throw Error(ErrorKind::kParameter,
              "kind '" + name + "' is not one of float32 float16 bfloat16 int8 uint8");
}

bool is_l2(const std::string& op) {
  if (op == "ip" || op == "l2") return op == "l2";
  throw Error(ErrorKind::kParameter, "op '" + op + "' is not one of ip l2");
}

// What every scan needs besides its kernel, checked against each other.
struct Scan {
  Scan(std::size_t query_width, std::size_t n_rows, std::size_t row_width,
       const Positions& positions)
      : n(static_cast<std::int64_t>(positions ? positions->shape(0) : n_rows)),
        width(static_cast<std::int64_t>(row_width)),
        rows(positions ? positions->data() : nullptr) {
    if (query_width != row_width) {
      throw Error(ErrorKind::kShape, "query has " + std::to_string(query_width) +
                                         " elements but rows have " + std::to_string(row_width));
    }
    for (std::int64_t i = 0; rows != nullptr && i < n; ++i) {
      if (rows[i] < 0 || rows[i] >= static_cast<std::int64_t>(n_rows)) {
        throw Error(ErrorKind::kParameter, "position " + std::to_string(rows[i]) +
                                               " is outside 0.." + std::to_string(n_rows));
      }
    }
  }
  std::int64_t n;
  std::int64_t width;
  const std::int64_t* rows;
};

template <class Out, class Table>
Answer<Out> run_pair(const Table& table, int kind, const Vector<float>& query,
                     const AnyMatrix& rows, const Positions& positions) {
  if (rows.itemsize() != row_bytes(static_cast<Kind>(kind), 1)) {
    throw Error(ErrorKind::kParameter, "rows have elements of " + std::to_string(rows.itemsize()) +
                                           " bytes, which is not the size of that kind");
  }
  const Scan scan(query.shape(0), rows.shape(0), rows.shape(1), positions);
  Out* out = nullptr;
  auto answer = make_answer<Out>(static_cast<std::size_t>(scan.n), &out);
  const nb::gil_scoped_release release;
  table[kind](query.data(), rows.data(), scan.rows, scan.n, scan.width, out);
  return answer;
}

Answer<float> pair_fast(const std::string& level, const std::string& op, const std::string& kind,
                        const Vector<float>& query, const AnyMatrix& rows,
                        const Positions& positions) {
  const PairKernels& k = kernels_at(level);
  return run_pair<float>(is_l2(op) ? k.l2 : k.ip, kind_named(kind), query, rows, positions);
}

Answer<double> pair_exact(const std::string& level, const std::string& op, const std::string& kind,
                          const Vector<float>& query, const AnyMatrix& rows,
                          const Positions& positions) {
  const PairKernels& k = kernels_at(level);
  return run_pair<double>(is_l2(op) ? k.l2_exact : k.ip_exact, kind_named(kind), query, rows,
                          positions);
}

template <class T, class Kernel>
Answer<std::int32_t> run_bytes(Kernel kernel, const Vector<T>& query, const Matrix<T>& rows,
                               const Positions& positions) {
  const Scan scan(query.shape(0), rows.shape(0), rows.shape(1), positions);
  std::int32_t* out = nullptr;
  auto answer = make_answer<std::int32_t>(static_cast<std::size_t>(scan.n), &out);
  const nb::gil_scoped_release release;
  kernel(query.data(), rows.data(), scan.rows, scan.n, scan.width, out);
  return answer;
}

Answer<std::int32_t> pair_int8(const std::string& level, const std::string& op,
                               const Vector<std::int8_t>& query, const Matrix<std::int8_t>& rows,
                               const Positions& positions) {
  const PairKernels& k = kernels_at(level);
  return run_bytes(is_l2(op) ? k.l2_i8 : k.ip_i8, query, rows, positions);
}

Answer<std::int32_t> hamming(const std::string& level, const Vector<std::uint8_t>& query,
                             const Matrix<std::uint8_t>& rows, const Positions& positions) {
  return run_bytes(kernels_at(level).hamming, query, rows, positions);
}

// A copy that ends where a page begins that nobody may read.
nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> guarded_copy(const Vector<std::uint8_t>& from) {
  struct Mapping {
    void* at;
    std::size_t bytes;
  };
  const std::size_t bytes = from.shape(0);
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t readable = (bytes + page - 1) / page * page;
  auto mapping = std::make_unique<Mapping>();
  mapping->bytes = readable + page;
  mapping->at =
      mmap(nullptr, mapping->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping->at == MAP_FAILED) throw std::bad_alloc();
  auto* start = static_cast<std::uint8_t*>(mapping->at);
  mprotect(start + readable, page, PROT_NONE);
  std::uint8_t* copy = start + readable - bytes;
  if (bytes != 0) std::memcpy(copy, from.data(), bytes);
  const nb::capsule owner(mapping.release(), [](void* p) noexcept {
    const std::unique_ptr<Mapping> m(static_cast<Mapping*>(p));
    munmap(m->at, m->bytes);
  });
  return {copy, {bytes}, owner};
}

void work_for(int ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (std::chrono::steady_clock::now() < end) {
  }
}

// Tasks done by each worker.
std::vector<std::int64_t> busy_tasks(std::int64_t n, int ms, int n_jobs) {
  const int workers = resolve_jobs(n_jobs);
  std::vector<std::int64_t> done(static_cast<std::size_t>(workers), 0);
  const nb::gil_scoped_release release;
  parallel_for(n, workers, [&done, ms](std::int64_t, int worker) {
    work_for(ms);
    ++done[static_cast<std::size_t>(worker)];
  });
  return done;
}

// How often each of outer * inner (outer, inner) pairs was visited, and whether an inner call ever
// ran on another worker than 0 or outside a parallel region, which it must not.
std::vector<std::int64_t> nested_tasks(std::int64_t outer, std::int64_t inner, int ms, int n_jobs) {
  std::vector<std::atomic<std::int64_t>> visits(static_cast<std::size_t>(outer * inner));
  std::atomic<bool> ok{!in_parallel_region()};
  {
    const nb::gil_scoped_release release;
    parallel_for(outer, n_jobs, [&visits, &ok, inner, ms, n_jobs](std::int64_t i, int) {
      parallel_for(inner, n_jobs, [&visits, &ok, inner, ms, i](std::int64_t j, int worker) {
        work_for(ms);
        if (worker != 0 || !in_parallel_region()) ok = false;
        ++visits[static_cast<std::size_t>(i * inner + j)];
      });
    });
  }
  if (!ok || in_parallel_region())
    throw Error(ErrorKind::kInternal, "a nested call was not serial");
  return {visits.begin(), visits.end()};
}

// Throws at task `bad`; how many tasks had been started by then is in the message's last word.
void failing_tasks(std::int64_t n, std::int64_t bad, int ms, int n_jobs) {
  std::atomic<std::int64_t> started{0};
  const nb::gil_scoped_release release;
  try {
    parallel_for(n, n_jobs, [&started, bad, ms](std::int64_t task, int) {
      ++started;
      if (task == bad) throw Error(ErrorKind::kCapacity, "task " + std::to_string(task));
      work_for(ms);
    });
  } catch (const Error& error) {
    throw Error(error.kind(), error.what() + std::string(" started ") + std::to_string(started));
  }
}

// n_items rows of per_item standard normals, one Random a row, rows shared out among n_jobs
// threads.
Answer<float> random_rows(std::uint64_t seed, std::uint32_t stream, std::int64_t n_items,
                          std::int64_t per_item, int n_jobs) {
  float* out = nullptr;
  auto answer = make_answer<float>(static_cast<std::size_t>(n_items * per_item), &out);
  const nb::gil_scoped_release release;
  parallel_for(n_items, n_jobs, [&](std::int64_t item, int) {
    Random random(seed, stream, static_cast<std::uint64_t>(item));
    for (std::int64_t i = 0; i < per_item; ++i) out[item * per_item + i] = random.normal();
  });
  return answer;
}

Answer<double> random_draws(const std::string& what, std::uint64_t seed, std::uint32_t stream,
                            std::uint64_t item, std::size_t n, std::uint64_t bound) {
  double* out = nullptr;
  auto answer = make_answer<double>(n, &out);
  Random random(seed, stream, item);
  for (std::size_t i = 0; i < n; ++i) {
    if (what == "uint32") {
      out[i] = random.uint32();
    } else if (what == "uniform") {
      out[i] = static_cast<double>(random.uniform());
    } else if (what == "uniform64") {
      out[i] = random.uniform64();
    } else if (what == "normal") {
      out[i] = static_cast<double>(random.normal());
    } else if (what == "below") {
      out[i] = static_cast<double>(random.below64(bound));
    } else {
      throw Error(ErrorKind::kParameter, "draws '" + what +
                                             "' is not one of uint32 uniform uniform64 normal "
                                             "below");
    }
  }
  return answer;
}

template <class To, class From, class Convert>
Answer<To> convert_all(const Vector<From>& from, Convert convert) {
  To* out = nullptr;
  auto answer = make_answer<To>(from.shape(0), &out);
  for (std::size_t i = 0; i < from.shape(0); ++i) out[i] = convert(from.data()[i]);
  return answer;
}

void bind_pair(nb::module_& m) {
  m.def("pair", &pair_fast, "level"_a, "op"_a, "kind"_a, "query"_a, "rows"_a,
        "positions"_a = nb::none(), "float32 ip or l2 of one query with rows, at one CPU level.");
  m.def("pair_exact", &pair_exact, "level"_a, "op"_a, "kind"_a, "query"_a, "rows"_a,
        "positions"_a = nb::none(), "The same in float64, with equal bits at every level.");
  m.def("pair_int8", &pair_int8, "level"_a, "op"_a, "query"_a, "rows"_a, "positions"_a = nb::none(),
        "int8 by int8 in exact int32.");
  m.def("hamming", &hamming, "level"_a, "query"_a, "rows"_a, "positions"_a = nb::none(),
        "Differing bits.");
  m.def("guarded_copy", &guarded_copy, "values"_a,
        "A copy whose last byte is followed by a page that faults when read.");
}

void bind_threads(nb::module_& m) {
  m.def("busy_tasks", &busy_tasks, "n"_a, "ms"_a, "n_jobs"_a = 0,
        "Run n tasks of ms milliseconds each; returns the number each worker did.");
  m.def("nested_tasks", &nested_tasks, "outer"_a, "inner"_a, "ms"_a, "n_jobs"_a,
        "Run a parallel_for in a parallel_for; returns the visits of each pair of tasks.");
  m.def("failing_tasks", &failing_tasks, "n"_a, "bad"_a, "ms"_a, "n_jobs"_a,
        "Run n tasks of which one throws.");
  m.def("cgroup_cpu_limit", &cgroup_cpu_limit, "root"_a = "",
        "CPUs granted by cgroup quotas, 0 for no limit; root is put before /proc and /sys.");
}

void bind_random(nb::module_& m) {
  m.def("philox4x32", &philox4x32, "counter"_a, "key"_a, "One block of Philox4x32-10.");
  m.def("random_rows", &random_rows, "seed"_a, "stream"_a, "n_items"_a, "per_item"_a, "n_jobs"_a,
        "Normals of many items, made in parallel.");
  m.def("random_draws", &random_draws, "what"_a, "seed"_a, "stream"_a, "item"_a, "n"_a,
        "bound"_a = 1, "n draws of one kind from one item.");
}

void bind_float16(nb::module_& m) {
  m.def("to_float16",
        [](const Vector<float>& x) { return convert_all<std::uint16_t>(x, float32_to_float16); });
  m.def("from_float16",
        [](const Vector<std::uint16_t>& x) { return convert_all<float>(x, float16_to_float32); });
  m.def("to_bfloat16",
        [](const Vector<float>& x) { return convert_all<std::uint16_t>(x, float32_to_bfloat16); });
  m.def("from_bfloat16",
        [](const Vector<std::uint16_t>& x) { return convert_all<float>(x, bfloat16_to_float32); });
}

}  // namespace

void bind_kernels(nb::module_& m) {
  nb::module_ kernels = m.def_submodule("kernels", "Single kernels at a chosen CPU level: tests.");
  // A name outside the package keeps these out of the generated stub, which is one file and so has
  // no place for a submodule.
  kernels.attr("__name__") = "kernels_for_tests";
  bind_pair(kernels);
  bind_threads(kernels);
  bind_random(kernels);
  bind_float16(kernels);
  bind_panels(kernels);
}

}  // namespace vl
