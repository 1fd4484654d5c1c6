// SPDX-License-Identifier: Apache-2.0
// Nearest codewords, AVX-512 with bfloat16 pairs. Formula, layout and bounds: README.md here.
#include "simd/codeword/ops_avx512.h"

namespace vl {
namespace {

struct Avx512Bf16 : Avx512 {
  using Step = std::int32_t;  // two bfloat16, the even dimension in the low half
  using Points = __m512bh;

  static Points load(const Step* p) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p)); }
  static Points broadcast(const Step* p) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(*p));
  }
  static Vec step(Vec acc, Points x, Points word) { return _mm512_dpbf16_ps(acc, x, word); }
  static Group step_group(Group acc, const Step* point, const Step* words) {
    return _mm256_dpbf16_ps(
        acc, reinterpret_cast<__m256bh>(_mm256_set1_epi32(*point)),
        reinterpret_cast<__m256bh>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words))));
  }
};

}  // namespace

extern const CodewordKernels kCodewordAvx512Bf16;
const CodewordKernels kCodewordAvx512Bf16 = {SimdLevel::kAvx512Bf16, nearest<Avx512>,
                                             nearest<Avx512Bf16>};

}  // namespace vl
