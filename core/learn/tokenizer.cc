// SPDX-License-Identifier: Apache-2.0
#include "learn/tokenizer.h"

namespace vl {

Tokenizer::Tokenizer(std::span<const std::uint8_t> classes, std::span<const std::int32_t> lower,
                     const TokenizerRules& rules)
    : classes_(classes), lower_(lower), rules_(rules) {}

}  // namespace vl
