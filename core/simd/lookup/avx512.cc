// SPDX-License-Identifier: Apache-2.0
// Table sums, AVX-512 (F, BW, DQ, VL): a 4-bit float32 table is one register, and vpermps looks up
// sixteen rows at once; 8-bit entries of four parts are one register for vpshufb.
// Layout and bounds: README.md in this folder.
#include <immintrin.h>

#include "simd/lookup/scan.h"

namespace vl {
namespace {

struct Avx512 {
  using Many = __m512;
  static constexpr int kManyRows = 8;
  static Many load_many(const float* p) { return _mm512_loadu_ps(p); }
  static Many add_many(Many a, Many b) { return _mm512_add_ps(a, b); }
  static void store_many(float* p, Many x) { _mm512_storeu_ps(p, x); }

  struct Rows {
    __m512 low, high;  // rows 0..15, rows 16..31
  };
  struct Index {
    __m512i low, high;  // only the low four bits of a lane count
  };
  static constexpr int kFloatQueries = 8;
  static Rows zero_rows() { return {_mm512_setzero_ps(), _mm512_setzero_ps()}; }
  static Index load_index(const std::uint8_t* p) {
    const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {both, _mm512_srli_epi32(both, 4)};
  }
  static Rows look_up(Rows sums, const float* table, Index index) {
    const __m512 entries = _mm512_loadu_ps(table);
    return {_mm512_add_ps(sums.low, _mm512_permutexvar_ps(index.low, entries)),
            _mm512_add_ps(sums.high, _mm512_permutexvar_ps(index.high, entries))};
  }
  static void store_rows(float* p, Rows x) {
    _mm512_storeu_ps(p, x.low);
    _mm512_storeu_ps(p + 16, x.high);
  }

  using Bytes = __m512i;
  static constexpr int kParts = 4;
  static constexpr int kByteQueries = 4;
  static Bytes zero_bytes() { return _mm512_setzero_si512(); }
  static Bytes load_bytes(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static Bytes low_nibbles(Bytes x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
  static Bytes high_nibbles(Bytes x) { return low_nibbles(_mm512_srli_epi16(x, 4)); }
  static Bytes shuffle(Bytes table, Bytes index) { return _mm512_shuffle_epi8(table, index); }
  static Bytes add16(Bytes a, Bytes b) { return _mm512_add_epi16(a, b); }
  static Bytes odd_bytes(Bytes x) { return _mm512_srli_epi16(x, 8); }
  static __m128i fold(Bytes x) {
    const __m256i half =
        _mm256_add_epi16(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    return _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  }
  static void store_sums(std::uint16_t* p, Bytes all, Bytes odd) {
    const __m128i odds = fold(odd);
    const __m128i evens = _mm_sub_epi16(fold(all), _mm_slli_epi16(odds, 8));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_unpacklo_epi16(evens, odds));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm_unpackhi_epi16(evens, odds));
  }
};

}  // namespace

extern const LookupKernels kLookupAvx512;
const LookupKernels kLookupAvx512 = lookup_table<Avx512>(SimdLevel::kAvx512);

}  // namespace vl
