// SPDX-License-Identifier: Apache-2.0
// The CPU quota that a container or service manager set on this process.
#pragma once

#include <string>

namespace vl {

// CPUs granted by cgroup v1 and v2 quotas (quota / period, rounded up), the least over the
// process's own group and its parents; 0 when there is no quota. `root` is put before /proc and
// /sys: tests only.
int cgroup_cpu_limit(const std::string& root = "");

}  // namespace vl
