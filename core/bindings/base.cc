// SPDX-License-Identifier: Apache-2.0
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/errors.h"
#include "base/threads.h"
#include "bindings/bindings.h"
#include "simd/cpu.h"
#include "simd/pair.h"
#include "simd/panel.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace vl {
namespace {

// Threads whose work is to end, by what `threading.get_ident` says.
std::atomic<int> g_n_ended{0};
std::mutex g_ended_mutex;
std::set<std::uint64_t> g_ended;

void end_thread(std::uint64_t ident, bool ended) {
  const std::lock_guard<std::mutex> lock(g_ended_mutex);
  if (ended) {
    g_ended.insert(ident);
  } else {
    g_ended.erase(ident);
  }
  g_n_ended.store(static_cast<int>(g_ended.size()), std::memory_order_release);
}

// Without Python's lock: an interpreter on its way out no longer gives it.
bool is_ended() {
  if (g_n_ended.load(std::memory_order_acquire) == 0) return false;
  const std::lock_guard<std::mutex> lock(g_ended_mutex);
  return g_ended.count(PyThread_get_thread_ident()) != 0;
}

bool signal_arrived() {
  if (is_ended()) return true;
  const nb::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

nb::dlpack::dtype dtype_named(const std::string& name, std::size_t* size) {
  struct Row {
    const char* name;
    nb::dlpack::dtype dtype;
    std::size_t size;
  };
  static const Row table[] = {
      {"float32", nb::dtype<float>(), 4},        {"float64", nb::dtype<double>(), 8},
      {"uint8", nb::dtype<std::uint8_t>(), 1},   {"int8", nb::dtype<std::int8_t>(), 1},
      {"uint16", nb::dtype<std::uint16_t>(), 2}, {"int32", nb::dtype<std::int32_t>(), 4},
      {"int64", nb::dtype<std::int64_t>(), 8},
  };
  for (const Row& row : table) {
    if (name == row.name) {
      *size = row.size;
      return row.dtype;
    }
  }
  throw Error(ErrorKind::kParameter,
              "aligned_empty: dtype '" + name +
                  "' is not one of float32 float64 uint8 int8 uint16 int32 int64");
}

nb::ndarray<nb::numpy> aligned_empty(const std::vector<std::int64_t>& shape,
                                     const std::string& dtype) {
  std::size_t item = 0;
  const nb::dlpack::dtype type = dtype_named(dtype, &item);
  std::size_t count = 1;
  std::vector<std::size_t> dims;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw Error(ErrorKind::kShape, "aligned_empty: negative extent in the shape");
    dims.push_back(static_cast<std::size_t>(extent));
    if (__builtin_mul_overflow(count, static_cast<std::size_t>(extent), &count))
      throw std::bad_alloc();
  }
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, item, &bytes)) throw std::bad_alloc();
  auto memory = std::make_unique<AlignedBuffer<unsigned char>>(bytes == 0 ? kAlignment : bytes);
  void* data = memory->data();
  const nb::capsule owner(memory.release(), [](void* p) noexcept {
    delete static_cast<AlignedBuffer<unsigned char>*>(p);
  });
  return nb::ndarray<nb::numpy>(data, dims.size(), dims.data(), owner, nullptr, type);
}

}  // namespace

void bind_base(nb::module_& m) {
  set_interrupt_check(signal_arrived);
  m.def("end_thread", end_thread, "ident"_a, "ended"_a,
        "Whether what the core does in a thread (`threading.get_ident`) is to end with "
        "KeyboardInterrupt; signals reach the main thread alone.");
  m.def(
      "simd_level", [] { return std::string(simd_level_name(active_simd_level())); },
      "The CPU level kernels use now.");
  m.def(
      "simd_levels",
      [] {
        std::vector<std::string> names;
        for (const SimdLevel level : host_simd_levels()) names.emplace_back(simd_level_name(level));
        return names;
      },
      "The CPU levels this host can run, weakest first.");
  m.def(
      "set_simd_level", [](const std::string& name) { set_simd_level(simd_level_from_name(name)); },
      "name"_a, "Use the kernels of the named level from now on.");
  m.def(
      "kernel_levels",
      [] {
        nb::dict levels;
        levels["pair"] = simd_level_name(pair_kernels().level);
        levels["panel"] = simd_level_name(panel_kernels().level);
        return levels;
      },
      "The CPU level of the kernels in use, for each family of kernels.");
  m.def(
      "compiler",
      [] {
#if defined(__clang__)
        return std::string("clang " __clang_version__);
#elif defined(__GNUC__)
        return std::string("gcc " __VERSION__);
#else
        return std::string("unknown");
#endif
      },
      "The compiler this module was built with.");
  m.def("cpu_features", &cpu_feature_string, "CPU features that matter here, space separated.");
  m.def("allowed_threads", &allowed_threads,
        "CPUs this process may use: affinity, cgroup quota and OMP_NUM_THREADS.");
  m.def(
      "resolve_jobs", [](std::optional<int> n_jobs) { return resolve_jobs(n_jobs.value_or(0)); },
      "n_jobs"_a = nb::none(), "The number of threads that n_jobs stands for.");
  m.def("aligned_empty", &aligned_empty, "shape"_a, "dtype"_a,
        "Uninitialised array whose first byte lies on a 64-byte boundary.");
}

}  // namespace vl
