// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "simd/sums.h"

namespace vl {
namespace {

std::int64_t places_from(const std::uint16_t* sums, std::int64_t n, std::uint16_t least,
                         std::uint16_t* places) {
  const __m256i limit = _mm256_set1_epi16(static_cast<short>(least));
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < n; i += 16) {
    const __m256i sum = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + i));
    // There is no unsigned comparison: a sum reaches the limit where it is the larger of both.
    const __m256i reach = _mm256_cmpeq_epi16(_mm256_max_epu16(sum, limit), sum);
    auto bits = static_cast<unsigned>(_mm256_movemask_epi8(reach)) & 0x55555555u;
    for (; bits != 0; bits &= bits - 1)
      places[found++] = static_cast<std::uint16_t>(i + __builtin_ctz(bits) / 2);
  }
  return found;
}

void group_maxima(const std::uint16_t* sums, std::int64_t n, std::uint16_t* maxima) {
  const __m128i ones = _mm_set1_epi16(-1);
  for (std::int64_t g = 0; g < n / kSumsGroup; ++g) {
    const auto* at = reinterpret_cast<const __m256i*>(sums + g * kSumsGroup);
    const __m256i a = _mm256_max_epu16(_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1));
    const __m256i b = _mm256_max_epu16(_mm256_loadu_si256(at + 2), _mm256_loadu_si256(at + 3));
    const __m256i c = _mm256_max_epu16(a, b);
    const __m128i d = _mm_max_epu16(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
    // The smallest of the complements is the complement of the largest.
    const __m128i least = _mm_minpos_epu16(_mm_xor_si128(d, ones));
    maxima[g] = static_cast<std::uint16_t>(~_mm_extract_epi16(least, 0));
  }
}

}  // namespace

extern const SumsKernels kSumsAvx2;
const SumsKernels kSumsAvx2 = {SimdLevel::kAvx2, places_from, group_maxima};

}  // namespace vl
