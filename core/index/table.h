// SPDX-License-Identifier: Apache-2.0
// n rows of `width` values: memory of its own that grows by a quarter at a time, or a view of what
// somebody else keeps (a mapped file), which is not to be written to.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/aligned.h"

namespace vl {

template <class T>
class Table {
 public:
  Table() = default;
  Table(std::int64_t n, std::int64_t width)
      : own_(static_cast<std::size_t>(n * width)),
        data_(own_.data()),
        n_(n),
        capacity_(n),
        width_(width) {}
  static Table view(const T* data, std::int64_t n, std::int64_t width) {
    Table table;
    table.data_ = const_cast<T*>(data);
    table.n_ = n;
    table.width_ = width;
    return table;
  }
  Table(Table&& other) noexcept { *this = std::move(other); }
  Table& operator=(Table&& other) noexcept {
    own_ = std::move(other.own_);
    data_ = other.data_;
    n_ = other.n_;
    capacity_ = other.capacity_;
    width_ = other.width_;
    other.data_ = nullptr;
    other.n_ = 0;
    other.capacity_ = 0;
    return *this;
  }

  std::int64_t n() const { return n_; }
  std::int64_t width() const { return width_; }
  bool empty() const { return n_ == 0; }
  T* of(std::int64_t row) { return data_ + row * width_; }
  const T* of(std::int64_t row) const { return data_ + row * width_; }
  const T* data() const { return data_; }
  std::size_t bytes() const { return static_cast<std::size_t>(n_ * width_) * sizeof(T); }

  // New rows are not initialised. A view becomes a copy.
  void resize(std::int64_t n) {
    if (n > capacity_) {
      const std::int64_t capacity = std::max(n, capacity_ + capacity_ / 4);
      AlignedBuffer<T> bigger(static_cast<std::size_t>(capacity * width_));
      if (n_ > 0) std::memcpy(bigger.data(), data_, bytes());
      own_ = std::move(bigger);
      data_ = own_.data();
      capacity_ = capacity;
    }
    n_ = n;
  }

 private:
  AlignedBuffer<T> own_;
  T* data_ = nullptr;
  std::int64_t n_ = 0, capacity_ = 0, width_ = 1;
};

}  // namespace vl
