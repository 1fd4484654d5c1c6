// SPDX-License-Identifier: Apache-2.0
// Codes of codebooks: product and residual quantization.
#include "bindings/bindings.h"

namespace vl {

void bind_codebooks(nanobind::module_& m) { (void)m; }

}  // namespace vl
