// SPDX-License-Identifier: Apache-2.0
#include "base/scratch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace vl {
namespace {

// Returns 0 or an error code.
int take_room(int file, std::size_t bytes) {
#if defined(__linux__)
  int code = 0;
  do {
    code = posix_fallocate(file, 0, static_cast<off_t>(bytes));
  } while (code == EINTR);
  return code;
#else
  const std::vector<char> zeros(std::size_t{1} << 20);
  while (bytes > 0) {
    const ssize_t done = write(file, zeros.data(), std::min(bytes, zeros.size()));
    if (done < 0 && errno != EINTR) return errno;
    bytes -= static_cast<std::size_t>(std::max<ssize_t>(0, done));
  }
  return 0;
#endif
}

}  // namespace

FileError::FileError(int code, std::string folder, std::size_t bytes)
    : code_(code),
      folder_(std::move(folder)),
      message_(std::string(std::strerror(code)) + "; a temporary file of " +
               std::to_string(bytes >> 20) +
               " MiB is needed there. Set TMPDIR to a folder on a disk with room, or raise "
               "memory_limit") {}

FileMemory::FileMemory(const std::string& folder, std::size_t bytes) : bytes_(bytes) {
  std::string path = folder + "/vectorloom-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) throw FileError(errno, folder, bytes);
  (void)unlink(path.c_str());
  int code = take_room(file, bytes);
  if (code == 0) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (data_ == MAP_FAILED) code = errno;
  }
  (void)close(file);
  if (code != 0) throw FileError(code, folder, bytes);
}

FileMemory::~FileMemory() {
  if (data_ != nullptr) (void)munmap(data_, bytes_);
}

}  // namespace vl
