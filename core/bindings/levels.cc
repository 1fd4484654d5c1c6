// SPDX-License-Identifier: Apache-2.0
// Codes of integer levels: scalar, LVQ, RaBitQ, signs.
#include "bindings/bindings.h"

namespace vl {

void bind_levels(nanobind::module_& m) { (void)m; }

}  // namespace vl
