// SPDX-License-Identifier: Apache-2.0
#include "simd/pair.h"
#include "simd/pair/levels.h"

namespace vl {
namespace {

#if defined(__x86_64__)
PairKernels with_vnni() {
  PairKernels table = kPairAvx512;
  table.level = SimdLevel::kAvx512Vnni;
  table.ip_i8 = kPairVnniIpI8;
  table.l2_i8 = kPairVnniL2I8;
  return table;
}
#endif

}  // namespace

const PairKernels& pair_kernels(SimdLevel level) {
#if defined(__x86_64__)
  static const PairKernels vnni = with_vnni();
  if (level >= SimdLevel::kAvx512Vnni) return vnni;
  if (level >= SimdLevel::kAvx512) return kPairAvx512;
  if (level >= SimdLevel::kAvx2) return kPairAvx2;
#elif defined(__aarch64__)
  if (level >= SimdLevel::kNeon) return kPairNeon;
#endif
  static_cast<void>(level);
  return kPairScalar;
}

}  // namespace vl
