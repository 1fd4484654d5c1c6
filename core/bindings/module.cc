// SPDX-License-Identifier: Apache-2.0
#include "bindings/bindings.h"

NB_MODULE(_core, m) {
  m.doc() = "The compiled core of vectorloom. Private: the public interface is the Python package.";
  vl::bind_errors(m);
  vl::bind_base(m);
  vl::bind_kernels(m);
  vl::bind_linalg(m);
  vl::bind_select(m);
  vl::bind_levels(m);
  vl::bind_code_search(m);
  vl::bind_codebooks(m);
  vl::bind_floats(m);
  vl::bind_index(m);
  vl::bind_graph(m);
  vl::bind_answers(m);
  vl::bind_lists(m);
  vl::bind_multivector(m);
  vl::bind_learn(m);
  vl::bind_documents(m);
  vl::bind_bags(m);
  vl::bind_inverted(m);
}
