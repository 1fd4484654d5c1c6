// SPDX-License-Identifier: Apache-2.0
// Clustering.
#include "bindings/bindings.h"

namespace vl {

void bind_select(nanobind::module_& m) { (void)m; }

}  // namespace vl
