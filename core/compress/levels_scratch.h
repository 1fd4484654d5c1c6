// SPDX-License-Identifier: Apache-2.0
// Buffers of one thread that encodes or decodes rows.
#pragma once

#include <cstdint>
#include <vector>

#include "compress/levels.h"

namespace vl {

struct LevelCodec::Scratch {
  explicit Scratch(std::int64_t dim)
      : values(static_cast<std::size_t>(dim)),
        rest(static_cast<std::size_t>(dim)),
        levels(static_cast<std::size_t>(dim)),
        part(static_cast<std::size_t>(dim)) {}

  std::vector<float> values, rest;
  std::vector<std::uint8_t> levels, part;
};

}  // namespace vl
