// SPDX-License-Identifier: Apache-2.0
// Short floating-point codes.
#include "bindings/bindings.h"

namespace vl {

void bind_floats(nanobind::module_& m) { (void)m; }

}  // namespace vl
