// SPDX-License-Identifier: Apache-2.0
#include "simd/cpu.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/errors.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace vl {
namespace {

constexpr std::array<const char*, static_cast<int>(SimdLevel::kCount)> kNames = {
    "scalar", "neon", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx", "amx_model"};

struct Features {
  bool avx2 = false, avx512 = false, vnni = false, bf16 = false, amx = false;
  std::string text;
};

#if defined(__x86_64__)
std::uint64_t read_xcr0() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

// Linux hands out the 8 KiB tile state only on request (Documentation/arch/x86/xstate.rst).
bool request_amx_permission() {
#if defined(__linux__)
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXfeatureXtiledata = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
#else
  return false;
#endif
}

Features detect() {
  Features f;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  const bool osxsave = (c >> 27) & 1;
  const bool avx = (c >> 28) & 1;
  const bool fma = (c >> 12) & 1;
  const bool f16c = (c >> 29) & 1;
  if (!osxsave || !avx) return f;
  const std::uint64_t xcr0 = read_xcr0();
  const bool os_avx = (xcr0 & 0x6) == 0x6;
  const bool os_avx512 = (xcr0 & 0xe6) == 0xe6;
  const bool os_amx = (xcr0 & 0x60000) == 0x60000;
  unsigned a7 = 0;
  unsigned b7 = 0;
  unsigned c7 = 0;
  unsigned d7 = 0;
  if (!__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) return f;
  unsigned a71 = 0;
  unsigned unused = 0;
  if (a7 >= 1) __get_cpuid_count(7, 1, &a71, &unused, &unused, &unused);
  // The rest of x86-64-v3, which the compiler may use anywhere in a file of that level.
  unsigned c_extended = 0;
  __get_cpuid(0x80000001, &unused, &unused, &c_extended, &unused);
  const bool lzcnt = (c_extended >> 5) & 1;
  const bool movbe = (c >> 22) & 1;
  const bool bmi = ((b7 >> 3) & 1) && ((b7 >> 8) & 1) && lzcnt && movbe;
  auto add = [&f](const char* name, bool on) {
    if (!on) return;
    if (!f.text.empty()) f.text += ' ';
    f.text += name;
  };
  f.avx2 = os_avx && ((b7 >> 5) & 1) && fma && f16c && bmi;
  const bool f512 = (b7 >> 16) & 1;
  const bool dq = (b7 >> 17) & 1;
  const bool cd = (b7 >> 28) & 1;
  const bool bw = (b7 >> 30) & 1;
  const bool vl = (b7 >> 31) & 1;
  f.avx512 = f.avx2 && os_avx512 && f512 && dq && cd && bw && vl;
  f.vnni = f.avx512 && ((c7 >> 11) & 1);
  f.bf16 = f.vnni && ((a71 >> 5) & 1);
  const bool tiles = ((d7 >> 22) & 1) && ((d7 >> 24) & 1) && ((d7 >> 25) & 1);
  f.amx = f.bf16 && tiles && os_amx && request_amx_permission();
  add("avx2", os_avx && ((b7 >> 5) & 1));
  add("fma", fma);
  add("f16c", f16c);
  add("avx512f", os_avx512 && f512);
  add("avx512bw", os_avx512 && bw);
  add("avx512dq", os_avx512 && dq);
  add("avx512vl", os_avx512 && vl);
  add("avx512_vnni", os_avx512 && ((c7 >> 11) & 1));
  add("avx512_bf16", os_avx512 && ((a71 >> 5) & 1));
  add("amx_tile", os_amx && ((d7 >> 24) & 1));
  add("amx_int8", os_amx && ((d7 >> 25) & 1));
  add("amx_bf16", os_amx && ((d7 >> 22) & 1));
  return f;
}
#else
Features detect() {
  Features f;
#if defined(__aarch64__)
  f.text = "neon";
#endif
  return f;
}
#endif

const Features& features() {
  static const Features f = detect();
  return f;
}

std::vector<SimdLevel> detect_levels() {
  std::vector<SimdLevel> levels = {SimdLevel::kScalar};
#if defined(__aarch64__)
  levels.push_back(SimdLevel::kNeon);
#endif
  const Features& f = features();
  if (f.avx2) levels.push_back(SimdLevel::kAvx2);
  if (f.avx512) levels.push_back(SimdLevel::kAvx512);
  if (f.vnni) levels.push_back(SimdLevel::kAvx512Vnni);
  if (f.bf16) levels.push_back(SimdLevel::kAvx512Bf16);
  if (f.amx) levels.push_back(SimdLevel::kAmx);
  return levels;
}

bool host_can_run(SimdLevel level) {
  if (level == SimdLevel::kAmxModel) return features().bf16;
  for (const SimdLevel l : host_simd_levels()) {
    if (l == level) return true;
  }
  return false;
}

void require_host(SimdLevel level) {
  if (host_can_run(level)) return;
  std::string have;
  for (const SimdLevel l : host_simd_levels()) have += std::string(" ") + simd_level_name(l);
  throw Error(ErrorKind::kParameter, std::string("CPU level '") + simd_level_name(level) +
                                         "' was asked for, but this host runs only:" + have +
                                         ". Unset VECTORLOOM_SIMD or name one of these.");
}

SimdLevel initial_level() {
  const char* forced = std::getenv("VECTORLOOM_SIMD");
  if (forced == nullptr || *forced == '\0') return host_simd_levels().back();
  const SimdLevel level = simd_level_from_name(forced);
  require_host(level);
  return level;
}

std::atomic<int> g_level{-1};

}  // namespace

const char* simd_level_name(SimdLevel level) { return kNames[static_cast<std::size_t>(level)]; }

SimdLevel simd_level_from_name(const std::string& name) {
  std::string all;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return static_cast<SimdLevel>(i);
    all += std::string(" ") + kNames[i];
  }
  throw Error(ErrorKind::kParameter,
              "VECTORLOOM_SIMD: got '" + name + "'; expected one of:" + all + ".");
}

const std::vector<SimdLevel>& host_simd_levels() {
  static const std::vector<SimdLevel> levels = detect_levels();
  return levels;
}

SimdLevel active_simd_level() {
  int level = g_level.load(std::memory_order_acquire);
  if (level < 0) {
    level = static_cast<int>(initial_level());
    g_level.store(level, std::memory_order_release);
  }
  return static_cast<SimdLevel>(level);
}

void set_simd_level(SimdLevel level) {
  require_host(level);
  g_level.store(static_cast<int>(level), std::memory_order_release);
}

std::string cpu_feature_string() { return features().text; }

}  // namespace vl
