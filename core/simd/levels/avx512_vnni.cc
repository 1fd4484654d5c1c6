// SPDX-License-Identifier: Apache-2.0
// Level kernels, AVX-512 with VNNI: four products of unsigned levels and signed query bytes a lane.
//
// Formula: sum q_i c_i. Accumulator: sixteen int32 lanes for each part of a byte. Parts above the
// lowest are masked out in place and not shifted down: part k then counts 2^(k bits) times, and its
// own accumulator is shifted once a row instead, which is exact because every term is a multiple.
// Tail: masked loads. Alignment: none. Error: none (dim <= 65536).
#include "simd/levels/zmm.h"

namespace vl {
namespace {

struct Vnni {
  template <int Bits>
  struct Parts {
    __m512i part[8 / Bits];
  };
  template <int Bits>
  using Acc = Parts<Bits>;

  template <int Bits>
  static VL_INLINE void clear(Parts<Bits>& acc) {
    for (int k = 0; k < 8 / Bits; ++k) acc.part[k] = _mm512_setzero_si512();
  }
  template <int Bits>
  static VL_INLINE void add(Parts<Bits>& acc, __m512i x, const std::int8_t* q) {
    for (int k = 0; k < 8 / Bits; ++k) {
      constexpr int mask = (1 << Bits) - 1;
      const __m512i levels =
          Bits == 8 ? x
                    : _mm512_and_si512(x, _mm512_set1_epi8(static_cast<char>(mask << (k * Bits))));
      acc.part[k] =
          _mm512_dpbusd_epi32(acc.part[k], levels, _mm512_loadu_si512(q + k * kPlaneBlock));
    }
  }
  template <int Bits>
  static VL_INLINE __m512i finish(const Parts<Bits>& acc) {
    __m512i sum = acc.part[0];
    for (int k = 1; k < 8 / Bits; ++k) {
      sum = _mm512_add_epi32(sum, _mm512_srai_epi32(acc.part[k], static_cast<unsigned>(k * Bits)));
    }
    return sum;
  }
  static VL_INLINE __m512i add_signed(__m512i sum, __m512i q) {
    return _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), q);
  }
};

}  // namespace

constexpr LevelKernels kLevelsVnni = level_table<Zmm<Vnni>>(SimdLevel::kAvx512Vnni);

}  // namespace vl
