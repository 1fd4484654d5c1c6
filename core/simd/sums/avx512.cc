// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "simd/sums.h"

namespace vl {
namespace {

std::int64_t places_from(const std::uint16_t* sums, std::int64_t n, std::uint16_t least,
                         std::uint16_t* places) {
  const __m512i limit = _mm512_set1_epi16(static_cast<short>(least));
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < n; i += 64) {
    const std::uint64_t low = _mm512_cmpge_epu16_mask(_mm512_loadu_si512(sums + i), limit);
    const std::uint64_t high = _mm512_cmpge_epu16_mask(_mm512_loadu_si512(sums + i + 32), limit);
    for (std::uint64_t bits = low | (high << 32); bits != 0; bits &= bits - 1)
      places[found++] = static_cast<std::uint16_t>(i + __builtin_ctzll(bits));
  }
  return found;
}

void group_maxima(const std::uint16_t* sums, std::int64_t n, std::uint16_t* maxima) {
  const __m128i ones = _mm_set1_epi16(-1);
  for (std::int64_t g = 0; g < n / kSumsGroup; ++g) {
    const std::uint16_t* at = sums + g * kSumsGroup;
    const __m512i both = _mm512_max_epu16(_mm512_loadu_si512(at), _mm512_loadu_si512(at + 32));
    const __m256i half =
        _mm256_max_epu16(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64(both, 1));
    const __m128i d =
        _mm_max_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    // The smallest of the complements is the complement of the largest.
    const __m128i least = _mm_minpos_epu16(_mm_xor_si128(d, ones));
    maxima[g] = static_cast<std::uint16_t>(~_mm_extract_epi16(least, 0));
  }
}

}  // namespace

extern const SumsKernels kSumsAvx512;
const SumsKernels kSumsAvx512 = {SimdLevel::kAvx512, places_from, group_maxima};

}  // namespace vl
