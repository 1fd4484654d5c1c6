// SPDX-License-Identifier: Apache-2.0
// Training windows, AVX-512 (F, BW, DQ, VL): blocks of two inputs and six outputs, twelve sums.
// Formulas and bounds: README.md in this folder.
#include <immintrin.h>

#include "simd/window/block.h"

namespace vl {
namespace {

struct Avx512 {
  using Vec = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kScores = 12;
  static constexpr int kInputs = 8;

  static Vec zero() { return _mm512_setzero_ps(); }
  static Vec set1(float x) { return _mm512_set1_ps(x); }
  static Vec load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
  static Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  static Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
  static Vec neg(Vec a) { return _mm512_sub_ps(_mm512_setzero_ps(), a); }

  // 2^(x log2 e) = 2^k p(f), |f| <= 1/2, p of degree 5 (minimax, relative error 2.4e-7); arguments
  // beyond +-80 count as +-80.
  static Vec exp(Vec x) {
    const Vec limited =
        _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-80.0f)), _mm512_set1_ps(80.0f));
    const Vec y = _mm512_mul_ps(limited, _mm512_set1_ps(1.44269504f));
    const Vec whole = _mm512_roundscale_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Vec f = _mm512_sub_ps(y, whole);
    Vec p = _mm512_set1_ps(1.339887440e-3f);
    p = fma(p, f, _mm512_set1_ps(9.618437357e-3f));
    p = fma(p, f, _mm512_set1_ps(5.550332548e-2f));
    p = fma(p, f, _mm512_set1_ps(2.402264791e-1f));
    p = fma(p, f, _mm512_set1_ps(6.931472028e-1f));
    p = fma(p, f, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, whole);
  }

  static Vec pairs(Vec a, Vec b) { return add(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)); }
  static Vec fours(Vec a, Vec b) {
    const __m512d x = _mm512_castps_pd(a);
    const __m512d y = _mm512_castps_pd(b);
    return add(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
               _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  }
  static Vec quarters(Vec a, Vec b) {
    return add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  }

  // Lane k of the answer is the sum of the lanes of sums[k], k < N.
  template <int N>
  static Vec reduce(const Vec* sums) {
    const Vec a = fours(pairs(sums[0], sums[1]), pairs(sums[2], sums[3]));
    if constexpr (N <= 4) return quarters(quarters(a, zero()), zero());
    const Vec b = fours(pairs(sums[4], sums[5]), pairs(sums[6], sums[7]));
    if constexpr (N <= 8) return quarters(quarters(a, b), zero());
    const Vec c = fours(pairs(sums[8], sums[9]), pairs(sums[10], sums[11]));
    return quarters(quarters(a, b), quarters(c, zero()));
  }

  // 1 where j = 0.
  template <int I, int J>
  static Vec first_of() {
    constexpr __mmask16 kMask = I == 2 ? (1u | (1u << J)) : 1u;
    return _mm512_maskz_mov_ps(kMask, _mm512_set1_ps(1.0f));
  }
  template <int I, int J>
  static Vec repeat(const float* labels) {
    constexpr auto kOne = static_cast<__mmask16>((1u << J) - 1);
    const Vec first = _mm512_maskz_loadu_ps(kOne, labels);
    if constexpr (I == 1) return first;
    constexpr auto kTwo = static_cast<__mmask16>(kOne << J);
    return _mm512_mask_expand_ps(first, kTwo, first);
  }
  template <int I, int J>
  static Vec rates(const float* r) {
    const Vec first = _mm512_set1_ps(r[0]);
    if constexpr (I == 1) return first;
    constexpr auto kTwo = static_cast<__mmask16>(0xffffu << J);
    return _mm512_mask_mov_ps(first, kTwo, _mm512_set1_ps(r[1]));
  }
};

}  // namespace

extern const WindowKernels kWindowAvx512;
const WindowKernels kWindowAvx512 = {SimdLevel::kAvx512, scores_block<Avx512>, update_block<Avx512>,
                                     pull_block<Avx512>, sum_block<Avx512>,    add_block<Avx512>};

}  // namespace vl
