// SPDX-License-Identifier: Apache-2.0
// The AMX kernels on a software model of the tiles (Intel SDM vol. 2, TDPBSUD and TDPBF16PS), so
// that their indexing is tested on any AVX-512 host. Slow; never selected unless asked for by name.
#include <immintrin.h>

#include <cstdint>

namespace vl {
namespace {

struct Tile {
  unsigned char bytes[16][64];
};

thread_local Tile g_tiles[8];

inline void tile_zero(Tile& t) { __builtin_memset(&t, 0, sizeof(t)); }

inline void tile_load(Tile& t, const void* p, std::int64_t stride) {
  for (int r = 0; r < 16; ++r) {
    __builtin_memcpy(t.bytes[r], static_cast<const unsigned char*>(p) + r * stride, 64);
  }
}

inline void tile_store(const Tile& t, void* p, std::int64_t stride) {
  for (int r = 0; r < 16; ++r) {
    __builtin_memcpy(static_cast<unsigned char*>(p) + r * stride, t.bytes[r], 64);
  }
}

template <class T>
inline T tile_get(const Tile& t, int row, int column) {
  T value;
  __builtin_memcpy(&value, &t.bytes[row][static_cast<unsigned>(column) * sizeof(T)], sizeof(T));
  return value;
}

template <class T>
inline void tile_put(Tile& t, int row, int column, T value) {
  __builtin_memcpy(&t.bytes[row][static_cast<unsigned>(column) * sizeof(T)], &value, sizeof(T));
}

// C[m][n] += sum over k, j of int8(A[m][4k + j]) * uint8(B[k][4n + j])
inline void tile_dpbsud(Tile& c, const Tile& a, const Tile& b) {
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 16; ++n) {
      auto sum = tile_get<std::int32_t>(c, m, n);
      for (int k = 0; k < 16; ++k) {
        for (int j = 0; j < 4; ++j) {
          sum += static_cast<std::int8_t>(a.bytes[m][4 * k + j]) *
                 static_cast<int>(b.bytes[k][4 * n + j]);
        }
      }
      tile_put(c, m, n, sum);
    }
  }
}

inline float bf16_float(std::uint16_t half) {
  const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// C[m][n] += sum over k, j of A[m][2k + j] * B[k][2n + j], elements bfloat16
inline void tile_dpbf16ps(Tile& c, const Tile& a, const Tile& b) {
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 16; ++n) {
      auto sum = tile_get<float>(c, m, n);
      for (int k = 0; k < 16; ++k) {
        for (int j = 0; j < 2; ++j) {
          sum += bf16_float(tile_get<std::uint16_t>(a, m, 2 * k + j)) *
                 bf16_float(tile_get<std::uint16_t>(b, k, 2 * n + j));
        }
      }
      tile_put(c, m, n, sum);
    }
  }
}

}  // namespace
}  // namespace vl

#define VL_TILE_CONFIG(config) static_cast<void>(config)
#define VL_TILE_RELEASE() static_cast<void>(0)
#define VL_TILE_ZERO(t) tile_zero(g_tiles[t])
#define VL_TILE_LOAD(t, p, stride) tile_load(g_tiles[t], p, stride)
#define VL_TILE_STORE(t, p, stride) tile_store(g_tiles[t], p, stride)
#define VL_TILE_DPBSUD(c, a, b) tile_dpbsud(g_tiles[c], g_tiles[a], g_tiles[b])
#define VL_TILE_DPBF16PS(c, a, b) tile_dpbf16ps(g_tiles[c], g_tiles[a], g_tiles[b])
#include "simd/panel/amx_kernels.h"

namespace vl {

extern const PanelKernels kPanelAmxModel;
const PanelKernels kPanelAmxModel = {
    SimdLevel::kAmxModel,
    127,
    filter_tiles<Int8VnniOps512, true>,
    filter_tiles<Bf16Ops512, false>,
    filter_panels<FloatOps512, 12, 2>,
    product_tiles_bf16,
    product_panels<FloatOps512, 12, 2, 8>,
    reach_tiles<Int8VnniOps512>,
};

}  // namespace vl
