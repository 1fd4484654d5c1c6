// SPDX-License-Identifier: Apache-2.0
// Nearest codewords, AVX2 with FMA: 16 points x 4 codewords in eight accumulators.
// Formula, layout and bounds: README.md in this folder.
#include <immintrin.h>

#include "simd/codeword/tile.h"

namespace vl {
namespace {

struct Avx2 {
  using Step = float;
  using Points = __m256;
  using Vec = __m256;
  using Int = __m256i;
  using Group = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kWords = 4;

  static Vec infinity() { return _mm256_set1_ps(__builtin_inff()); }
  static Vec set1(float x) { return _mm256_set1_ps(x); }
  static Int integer(int x) { return _mm256_set1_epi32(x); }
  static Points load(const float* p) { return _mm256_loadu_ps(p); }
  static Points broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Vec step(Vec acc, Points x, Points word) { return _mm256_fmadd_ps(x, word, acc); }
  static Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
  static __m256 less(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static Int choose(__m256 mask, Int yes, Int no) {
    return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(mask));
  }
  static void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
  static void store(std::int32_t* p, Int x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  static Group load_group(const float* p) { return _mm256_loadu_ps(p); }
  static Group step_group(Group acc, const float* point, const float* words) {
    return _mm256_fmadd_ps(_mm256_broadcast_ss(point), _mm256_loadu_ps(words), acc);
  }
  static unsigned equal_group(Group acc, float minimum) {
    return static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_cmp_ps(acc, _mm256_set1_ps(minimum), _CMP_EQ_OQ)));
  }
};

}  // namespace

extern const CodewordKernels kCodewordAvx2;
const CodewordKernels kCodewordAvx2 = {SimdLevel::kAvx2, nearest<Avx2>, nullptr};

}  // namespace vl
