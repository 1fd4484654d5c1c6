// SPDX-License-Identifier: Apache-2.0
// Level kernels, plain C++: the oracle that the other levels are tested against.
//
// Formula: sum q_i c_i with q int8 and c unsigned levels of 8, 4, 2 or 1 bits. Accumulator: int32,
// exact for dim <= 65536. Tail: none, one element a step. Alignment: none. Error: none.
#include "simd/levels/plain.h"

namespace vl {

constexpr LevelKernels kLevelsScalar = level_table<Plain>(SimdLevel::kScalar);

}  // namespace vl
