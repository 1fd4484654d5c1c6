// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "index/screen.h"

namespace vl {

// A Screen with whatever arrays it looks at.
struct ScreenHolder {
  std::unique_ptr<Screen> screen;
  nanobind::object arrays;
};

}  // namespace vl
