// SPDX-License-Identifier: Apache-2.0
// Checks the pair kernels of every level this CPU has against the scalar ones, without Python: the
// way to run the NEON kernels on another architecture under an emulator. Prints one line, exits 1
// on a difference. Rows end at a page that may not be read.
//
//   CXX="aarch64-linux-gnu-g++-12 -std=c++20 -O2 -ffp-contract=off -Wall -Wextra -Icore"
//   SOURCES="core/simd/cpu.cc core/simd/pair_dispatch.cc core/simd/pair/{scalar,neon}.cc"
//   eval $CXX tests/core/neon_parity.cc $SOURCES -o neon_parity
//   qemu-aarch64 -L /usr/aarch64-linux-gnu ./neon_parity
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/float16.h"
#include "base/random.h"
#include "simd/pair.h"

namespace {

using vl::Kind;

int g_failures = 0;

void expect(bool ok, const char* what, vl::SimdLevel level, int kind, std::int64_t dim) {
  if (ok) return;
  ++g_failures;
  std::printf("FAIL %s: level %s, kind %d, dim %lld\n", what, vl::simd_level_name(level), kind,
              static_cast<long long>(dim));
}

// Memory whose last byte is followed by a page that faults.
unsigned char* guarded(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t pages = (bytes + page - 1) / page;
  void* memory =
      mmap(nullptr, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* bytes_at = static_cast<unsigned char*>(memory);
  mprotect(bytes_at + pages * page, page, PROT_NONE);
  return bytes_at + pages * page - bytes;
}

void fill(Kind kind, unsigned char* to, std::size_t count, vl::Random& random) {
  for (std::size_t i = 0; i < count; ++i) {
    const float value = random.normal();
    if (kind == Kind::kFloat32) std::memcpy(to + 4 * i, &value, 4);
    const std::uint16_t half =
        kind == Kind::kFloat16 ? vl::float32_to_float16(value) : vl::float32_to_bfloat16(value);
    if (kind == Kind::kFloat16 || kind == Kind::kBFloat16) std::memcpy(to + 2 * i, &half, 2);
    if (vl::row_bytes(kind, 8) <= 8) to[i] = static_cast<unsigned char>(random.uint32());
  }
}

void check_kind(Kind kind, std::int64_t dim, std::int64_t n, const vl::PairKernels& level) {
  const vl::PairKernels& scalar = vl::pair_kernels(vl::SimdLevel::kScalar);
  const int k = static_cast<int>(kind);
  vl::Random random(7, 0, static_cast<std::uint64_t>(dim));
  unsigned char* base = guarded(vl::row_bytes(kind, dim) * static_cast<std::size_t>(n));
  fill(kind, base, static_cast<std::size_t>(dim * n), random);
  auto* query = reinterpret_cast<float*>(guarded(static_cast<std::size_t>(dim) * 4));
  fill(Kind::kFloat32, reinterpret_cast<unsigned char*>(query), static_cast<std::size_t>(dim),
       random);
  std::vector<std::int64_t> list;
  for (std::int64_t i = n; i-- > 0;) list.push_back(i);
  const auto size = static_cast<std::size_t>(n);
  std::vector<float> fast(size);
  std::vector<double> got(size);
  std::vector<double> want(size);
  for (const std::int64_t* rows :
       {static_cast<const std::int64_t*>(nullptr), static_cast<const std::int64_t*>(list.data())}) {
    for (int op = 0; op < 2; ++op) {
      (op ? level.l2_exact : level.ip_exact)[k](query, base, rows, n, dim, got.data());
      (op ? scalar.l2_exact : scalar.ip_exact)[k](query, base, rows, n, dim, want.data());
      expect(std::memcmp(got.data(), want.data(), size * 8) == 0, "exact bits", level.level, k,
             dim);
      (op ? level.l2 : level.ip)[k](query, base, rows, n, dim, fast.data());
      for (std::size_t j = 0; j < size; ++j) {
        // A loose bound (the sharp one is tested from Python): |values| <= 255 + 5.
        const double scale = vl::row_bytes(kind, 8) <= 8 ? (op ? 67600.0 : 1300.0) : 100.0;
        const double allowed = static_cast<double>((dim + 4) * dim) * scale * 0x1p-24;
        expect(std::fabs(fast[j] - want[j]) <= allowed, "fast", level.level, k, dim);
      }
    }
  }
}

void check_bytes(std::int64_t width, std::int64_t n, const vl::PairKernels& level) {
  const vl::PairKernels& scalar = vl::pair_kernels(vl::SimdLevel::kScalar);
  vl::Random random(8, 0, static_cast<std::uint64_t>(width));
  unsigned char* base = guarded(static_cast<std::size_t>(width * n));
  unsigned char* query = guarded(static_cast<std::size_t>(width));
  fill(Kind::kUInt8, base, static_cast<std::size_t>(width * n), random);
  fill(Kind::kUInt8, query, static_cast<std::size_t>(width), random);
  const auto* query8 = reinterpret_cast<const std::int8_t*>(query);
  std::vector<std::int32_t> got(static_cast<std::size_t>(n));
  std::vector<std::int32_t> want(got);
  level.hamming(query, base, nullptr, n, width, got.data());
  scalar.hamming(query, base, nullptr, n, width, want.data());
  expect(got == want, "hamming", level.level, 5, width);
  level.ip_i8(query8, base, nullptr, n, width, got.data());
  scalar.ip_i8(query8, base, nullptr, n, width, want.data());
  expect(got == want, "ip_i8", level.level, 3, width);
  level.l2_i8(query8, base, nullptr, n, width, got.data());
  scalar.l2_i8(query8, base, nullptr, n, width, want.data());
  expect(got == want, "l2_i8", level.level, 3, width);
}

}  // namespace

int main() {
  for (const vl::SimdLevel name : vl::host_simd_levels()) {
    const vl::PairKernels& level = vl::pair_kernels(name);
    for (const std::int64_t dim : {1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 65, 97, 384, 1000}) {
      for (int kind = 0; kind < 5; ++kind) check_kind(static_cast<Kind>(kind), dim, 11, level);
      check_bytes(dim, 11, level);
    }
    std::printf("level %s checked\n", vl::simd_level_name(name));
  }
  std::printf(g_failures == 0 ? "all levels agree\n" : "%d failures\n", g_failures);
  return g_failures == 0 ? 0 : 1;
}
