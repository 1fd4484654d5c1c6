// SPDX-License-Identifier: Apache-2.0
// Large arrays for a while: in memory as long as they fit into what a job may take, and beyond that
// in files without a name, whose pages the kernel writes out and reads back as it needs the memory.
#pragma once

#include <cstddef>
#include <exception>
#include <limits>
#include <string>
#include <utility>

#include "base/aligned.h"

namespace vl {

// The system refused a temporary file: an OSError of this code and folder.
class FileError : public std::exception {
 public:
  FileError(int code, std::string folder, std::size_t bytes);
  const char* what() const noexcept override { return message_.c_str(); }
  int code() const noexcept { return code_; }
  const std::string& folder() const noexcept { return folder_; }

 private:
  int code_;
  std::string folder_, message_;
};

// Zeros of a file that has lost its name already, so that nothing of it outlives the process. Its
// room on disk is taken at once: a disk that is full says so here, and not when a page is touched.
class FileMemory {
 public:
  FileMemory() = default;
  FileMemory(const std::string& folder, std::size_t bytes);
  FileMemory(FileMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  FileMemory& operator=(FileMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~FileMemory();
  void* data() const noexcept { return data_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// What is left of the memory of one job. For one thread at a time; outlives its buffers.
class Scratch {
 public:
  Scratch() = default;  // no end of memory
  Scratch(std::string folder, std::size_t room) : folder_(std::move(folder)), room_(room) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  bool reserve(std::size_t bytes) {
    if (bytes > room_) return false;
    room_ -= bytes;
    return true;
  }
  void release(std::size_t bytes) { room_ += bytes; }
  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  std::size_t room_ = std::numeric_limits<std::size_t>::max();
};

template <class T>
class ScratchBuffer {
 public:
  ScratchBuffer() = default;
  ScratchBuffer(std::size_t count, Scratch& scratch) : size_(count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes == 0) return;
    if (scratch.reserve(bytes)) {
      scratch_ = &scratch;
      try {
        memory_ = AlignedBuffer<T>(count);
      } catch (...) {
        scratch.release(bytes);
        throw;
      }
    } else {
      file_ = FileMemory(scratch.folder(), bytes);
    }
  }
  ScratchBuffer(ScratchBuffer&& other) noexcept { *this = std::move(other); }
  ScratchBuffer& operator=(ScratchBuffer&& other) noexcept {
    AlignedBuffer<T> memory = std::move(memory_);
    memory_ = std::move(other.memory_);
    other.memory_ = std::move(memory);
    std::swap(file_, other.file_);
    std::swap(scratch_, other.scratch_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~ScratchBuffer() {
    if (scratch_ != nullptr) scratch_->release(size_ * sizeof(T));
  }
  // To be called before a buffer takes the place of this one: two need not be there at once.
  void clear() { const ScratchBuffer gone(std::move(*this)); }

  T* data() noexcept {
    return file_.data() == nullptr ? memory_.data() : static_cast<T*>(file_.data());
  }
  const T* data() const noexcept { return const_cast<ScratchBuffer*>(this)->data(); }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }

 private:
  AlignedBuffer<T> memory_;
  FileMemory file_;
  Scratch* scratch_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace vl
