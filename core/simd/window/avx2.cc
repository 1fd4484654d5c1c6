// SPDX-License-Identifier: Apache-2.0
// Training windows, AVX2 with FMA: one input and six outputs, six sums.
// Formulas and bounds: README.md in this folder.
#include <immintrin.h>

#include "simd/window/block.h"

namespace vl {
namespace {

struct Avx2 {
  using Vec = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kScores = 8;
  static constexpr int kInputs = 5;

  static Vec zero() { return _mm256_setzero_ps(); }
  static Vec set1(float x) { return _mm256_set1_ps(x); }
  static Vec load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
  static Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  static Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
  static Vec neg(Vec a) { return _mm256_sub_ps(_mm256_setzero_ps(), a); }

  // As at the AVX-512 level; 2^k by its exponent bits.
  static Vec exp(Vec x) {
    const Vec limited =
        _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-80.0f)), _mm256_set1_ps(80.0f));
    const Vec y = _mm256_mul_ps(limited, _mm256_set1_ps(1.44269504f));
    const Vec whole = _mm256_round_ps(y, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Vec f = _mm256_sub_ps(y, whole);
    Vec p = _mm256_set1_ps(1.339887440e-3f);
    p = fma(p, f, _mm256_set1_ps(9.618437357e-3f));
    p = fma(p, f, _mm256_set1_ps(5.550332548e-2f));
    p = fma(p, f, _mm256_set1_ps(2.402264791e-1f));
    p = fma(p, f, _mm256_set1_ps(6.931472028e-1f));
    p = fma(p, f, _mm256_set1_ps(1.0f));
    const __m256i bits =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(bits));
  }

  static Vec halves(Vec a, Vec b) {
    return add(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }

  // Lane k of the answer is the sum of the lanes of sums[k].
  template <int N>
  static Vec reduce(const Vec* sums) {
    const Vec a =
        _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]), _mm256_hadd_ps(sums[2], sums[3]));
    if constexpr (N <= 4) return halves(a, zero());
    const Vec b =
        _mm256_hadd_ps(_mm256_hadd_ps(sums[4], sums[5]), _mm256_hadd_ps(sums[6], sums[7]));
    return halves(a, b);
  }

  template <int I, int J>
  static Vec first_of() {
    return _mm256_setr_ps(1.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f);
  }
  template <int I, int J>
  static Vec repeat(const float* labels) {
    alignas(32) static constexpr int kMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const auto* mask = reinterpret_cast<const __m256i*>(kMask + 8 - J);
    return _mm256_maskload_ps(labels, _mm256_loadu_si256(mask));
  }
  template <int I, int J>
  static Vec rates(const float* r) {
    return _mm256_set1_ps(r[0]);
  }
};

}  // namespace

extern const WindowKernels kWindowAvx2;
const WindowKernels kWindowAvx2 = {SimdLevel::kAvx2, scores_block<Avx2>, update_block<Avx2>,
                                   pull_block<Avx2>, sum_block<Avx2>,    add_block<Avx2>};

}  // namespace vl
