// SPDX-License-Identifier: Apache-2.0
// Level kernels, AVX-512 without VNNI: products in int16 pairs.
//
// Formula: sum q_i c_i. Accumulator: sixteen int32 lanes. A pair of products of levels up to 15 is
// at most 2 * 15 * 128, so both parts of a byte fit int16 together; bytes of eight bits are cut
// into nibbles first, because 2 * 255 * 128 would saturate. Tail: masked loads. Alignment: none.
// Error: none.
#include "simd/levels/zmm.h"

namespace vl {
namespace {

struct Pairs {
  template <int Bits>
  using Acc = __m512i;

  template <int Bits>
  static VL_INLINE void clear(__m512i& acc) {
    acc = _mm512_setzero_si512();
  }
  template <int Bits>
  static VL_INLINE __m512i part(__m512i x, int k) {
    const __m512i mask = _mm512_set1_epi8((1 << Bits) - 1);
    return _mm512_and_si512(k == 0 ? x : _mm512_srli_epi16(x, static_cast<unsigned>(k * Bits)),
                            mask);
  }
  template <int Bits>
  static VL_INLINE void add(__m512i& acc, __m512i x, const std::int8_t* q) {
    const __m512i ones = _mm512_set1_epi16(1);
    if constexpr (Bits == 8) {
      const __m512i query = _mm512_loadu_si512(q);
      const __m512i low = _mm512_maddubs_epi16(part<4>(x, 0), query);
      const __m512i high = _mm512_maddubs_epi16(part<4>(x, 1), query);
      acc = _mm512_add_epi32(acc, _mm512_madd_epi16(low, ones));
      acc = _mm512_add_epi32(acc, _mm512_madd_epi16(high, _mm512_set1_epi16(16)));
    } else {
      __m512i pairs = _mm512_setzero_si512();
      for (int k = 0; k < 8 / Bits; ++k) {
        const __m512i query = _mm512_loadu_si512(q + k * kPlaneBlock);
        pairs = _mm512_add_epi16(pairs, _mm512_maddubs_epi16(part<Bits>(x, k), query));
      }
      acc = _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, ones));
    }
  }
  template <int Bits>
  static VL_INLINE __m512i finish(__m512i acc) {
    return acc;
  }
  static VL_INLINE __m512i add_signed(__m512i sum, __m512i q) {
    const __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), q);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};

}  // namespace

constexpr LevelKernels kLevelsAvx512 = level_table<Zmm<Pairs>>(SimdLevel::kAvx512);

}  // namespace vl
