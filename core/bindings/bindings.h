// SPDX-License-Identifier: Apache-2.0
// One bind_<verb> function a file; module.cc calls them all. Bindings convert, check and release
// the GIL; they hold no algorithm.
#pragma once

#include <nanobind/nanobind.h>

namespace vl {

void bind_errors(nanobind::module_& m);
void bind_base(nanobind::module_& m);
void bind_kernels(nanobind::module_& m);
void bind_panels(nanobind::module_& kernels);
void bind_linalg(nanobind::module_& m);
void bind_select(nanobind::module_& m);
void bind_levels(nanobind::module_& m);
void bind_code_search(nanobind::module_& m);
void bind_codebooks(nanobind::module_& m);
void bind_floats(nanobind::module_& m);
void bind_index(nanobind::module_& m);
void bind_graph(nanobind::module_& m);
void bind_answers(nanobind::module_& m);
void bind_lists(nanobind::module_& m);
void bind_multivector(nanobind::module_& m);
void bind_documents(nanobind::module_& m);
void bind_learn(nanobind::module_& m);
void bind_bags(nanobind::module_& m);
void bind_inverted(nanobind::module_& m);

}  // namespace vl
