// SPDX-License-Identifier: Apache-2.0
// Products of whole matrices.
#include "bindings/bindings.h"

namespace vl {

void bind_linalg(nanobind::module_& m) { (void)m; }

}  // namespace vl
