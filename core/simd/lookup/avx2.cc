// SPDX-License-Identifier: Apache-2.0
// Table sums, AVX2: a 4-bit float32 table is two registers, looked up in both and blended by the
// top bit of the code; 8-bit entries of two parts are one register for vpshufb.
// Layout and bounds: README.md in this folder.
#include <immintrin.h>

#include "simd/lookup/scan.h"

namespace vl {
namespace {

struct Avx2 {
  struct Many {
    __m256 low, high;
  };
  static constexpr int kManyRows = 4;
  static Many load_many(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static Many add_many(Many a, Many b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static void store_many(float* p, Many x) {
    _mm256_storeu_ps(p, x.low);
    _mm256_storeu_ps(p + 8, x.high);
  }

  struct Rows {
    __m256 a, b, c, d;  // eight rows each
  };
  struct Index {
    __m256i a, b, c, d;
  };
  static constexpr int kFloatQueries = 1;
  static Rows zero_rows() {
    const __m256 z = _mm256_setzero_ps();
    return {z, z, z, z};
  }
  static Index load_index(const std::uint8_t* p) {
    const __m256i first =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    const __m256i second =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8)));
    return {first, second, _mm256_srli_epi32(first, 4), _mm256_srli_epi32(second, 4)};
  }
  static __m256 entry(__m256 low, __m256 high, __m256i index) {
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                            _mm256_permutevar8x32_ps(high, index),
                            _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  }
  static Rows look_up(Rows sums, const float* table, Index index) {
    const __m256 low = _mm256_loadu_ps(table);
    const __m256 high = _mm256_loadu_ps(table + 8);
    return {_mm256_add_ps(sums.a, entry(low, high, index.a)),
            _mm256_add_ps(sums.b, entry(low, high, index.b)),
            _mm256_add_ps(sums.c, entry(low, high, index.c)),
            _mm256_add_ps(sums.d, entry(low, high, index.d))};
  }
  static void store_rows(float* p, Rows x) {
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
    _mm256_storeu_ps(p + 16, x.c);
    _mm256_storeu_ps(p + 24, x.d);
  }

  using Bytes = __m256i;
  static constexpr int kParts = 2;
  static constexpr int kByteQueries = 2;
  static Bytes zero_bytes() { return _mm256_setzero_si256(); }
  static Bytes load_bytes(const std::uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Bytes low_nibbles(Bytes x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
  static Bytes high_nibbles(Bytes x) { return low_nibbles(_mm256_srli_epi16(x, 4)); }
  static Bytes shuffle(Bytes table, Bytes index) { return _mm256_shuffle_epi8(table, index); }
  static Bytes add16(Bytes a, Bytes b) { return _mm256_add_epi16(a, b); }
  static Bytes odd_bytes(Bytes x) { return _mm256_srli_epi16(x, 8); }
  static __m128i fold(Bytes x) {
    return _mm_add_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  }
  static void store_sums(std::uint16_t* p, Bytes all, Bytes odd) {
    const __m128i odds = fold(odd);
    const __m128i evens = _mm_sub_epi16(fold(all), _mm_slli_epi16(odds, 8));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_unpacklo_epi16(evens, odds));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm_unpackhi_epi16(evens, odds));
  }
};

}  // namespace

extern const LookupKernels kLookupAvx2;
const LookupKernels kLookupAvx2 = lookup_table<Avx2>(SimdLevel::kAvx2);

}  // namespace vl
