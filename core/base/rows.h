// SPDX-License-Identifier: Apache-2.0
// The view of stored vectors that every room passes around: n rows of one element kind, row-major.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vl {

enum class Kind : int { kFloat32 = 0, kFloat16, kBFloat16, kInt8, kUInt8, kBits };

enum class Metric : int { kCosine = 0, kIp, kL2, kHamming };

inline std::size_t row_bytes(Kind kind, std::int64_t dim) {
  switch (kind) {
    case Kind::kFloat32: return static_cast<std::size_t>(dim) * 4;
    case Kind::kFloat16:
    case Kind::kBFloat16: return static_cast<std::size_t>(dim) * 2;
    case Kind::kInt8:
    case Kind::kUInt8: return static_cast<std::size_t>(dim);
    case Kind::kBits: return static_cast<std::size_t>((dim + 7) / 8);
  }
  return 0;
}

// Element i of row r stands for scale[r] * value; scale is null for kinds stored as they came.
struct Rows {
  Kind kind = Kind::kFloat32;
  const void* data = nullptr;
  std::int64_t n = 0;
  std::int64_t dim = 0;  // elements, not bytes; for bits a multiple of 8
  const float* scale = nullptr;

  std::size_t stride() const { return row_bytes(kind, dim); }
  const void* row(std::int64_t r) const {
    return static_cast<const unsigned char*>(data) + static_cast<std::size_t>(r) * stride();
  }
};

}  // namespace vl
