// SPDX-License-Identifier: Apache-2.0
// Pair kernels, AVX-512 with VNNI: only int8 by int8, where four products a lane are added at once.
//
// Formula: ip = sum q_i (x_i + 128) - 128 sum q_i, because the instruction multiplies unsigned by
// signed bytes; l2 = sum (q_i - x_i)^2 on int16 differences. Accumulator: sixteen int32 lanes,
// wrapping (not saturating), so the sum is exact whenever the true result fits int32, even where
// the biased partial sums do not. Tail: masked loads; a query byte of zero hides whatever the row's
// byte became. Alignment: none. Error: none. GCC 12 warns inside its own header, where an undefined
// register is meant (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <cstdint>

#include "simd/pair/scan.h"

namespace vl {
namespace {

VL_INLINE __mmask64 first64(std::int64_t r) {
  return static_cast<__mmask64>((std::uint64_t{1} << static_cast<unsigned>(r)) - 1u);
}

// The sum of sixteen lanes modulo 2^32. The inner product's runs over until `bias` is taken off,
// and GCC's _mm512_reduce_add_epi32 adds signed lanes, for which running over is undefined.
VL_INLINE std::int32_t wrapping_sum(__m512i v) {
  const __m256i eight =
      _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

struct IpI8 {
  using Reg = __m512i;
  using Acc = __m512i;
  static constexpr std::int64_t kStep = 64;
  static VL_INLINE Acc zero() { return _mm512_setzero_si512(); }
  static VL_INLINE Reg load(const std::int8_t* p) { return _mm512_loadu_si512(p); }
  static VL_INLINE Reg load_tail(const std::int8_t* p, std::int64_t r) {
    return _mm512_maskz_loadu_epi8(first64(r), p);
  }
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    return _mm512_dpbusd_epi32(acc, _mm512_xor_si512(x, _mm512_set1_epi8(-128)), q);
  }
  static VL_INLINE std::int32_t sum(Acc acc) { return wrapping_sum(acc); }
  static VL_INLINE std::uint32_t bias(const std::int8_t* query, std::int64_t width) {
    std::uint32_t total = 0;
    for (std::int64_t i = 0; i < width; ++i) total += static_cast<std::uint32_t>(query[i]);
    return 128 * total;
  }
};

struct L2I8 {
  using Reg = __m512i;  // thirty-two int16
  using Acc = __m512i;
  static constexpr std::int64_t kStep = 32;
  static VL_INLINE Acc zero() { return _mm512_setzero_si512(); }
  static VL_INLINE Reg load(const std::int8_t* p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static VL_INLINE Reg load_tail(const std::int8_t* p, std::int64_t r) {
    return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(static_cast<__mmask32>(first64(r)), p));
  }
  static VL_INLINE Acc step(Acc acc, Reg q, Reg x) {
    const Reg d = _mm512_sub_epi16(q, x);
    return _mm512_dpwssd_epi32(acc, d, d);
  }
  static VL_INLINE std::int32_t sum(Acc acc) { return wrapping_sum(acc); }
  static VL_INLINE std::uint32_t bias(const std::int8_t* /*query*/, std::int64_t /*width*/) {
    return 0;
  }
};

}  // namespace

constexpr ScanI8 kPairVnniIpI8 = scan_int8<IpI8>;
constexpr ScanI8 kPairVnniL2I8 = scan_int8<L2I8>;

}  // namespace vl
