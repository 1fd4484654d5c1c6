// SPDX-License-Identifier: Apache-2.0
// Memory that may be a file's: pages asked for ahead are read while others are worked on.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace vl {

// Begins to read [data, data + n) where it is not in memory; a wish, and never an error.
inline void will_need([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t n) {
#if defined(__linux__)
  static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto into = static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(data) % page);
  auto* first = static_cast<unsigned char*>(const_cast<void*>(data)) - into;
  (void)madvise(first, into + n, MADV_WILLNEED);
#endif
}

}  // namespace vl
