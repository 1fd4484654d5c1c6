// SPDX-License-Identifier: Apache-2.0
#include "base/cgroup.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace vl {
namespace {

// One mounted hierarchy: files of group `path` are under mount + (path without the prefix `root`).
struct Mount {
  std::string root;
  std::string point;
};

bool has_word(const std::string& list, const std::string& word) {
  std::istringstream in(list);
  for (std::string item; std::getline(in, item, ',');) {
    if (item == word) return true;
  }
  return false;
}

bool starts_with_path(const std::string& path, const std::string& prefix) {
  return path.compare(0, prefix.size(), prefix) == 0 &&
         (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// A line of mountinfo: id parent dev root mount-point options [optional...] - type source
// super-options
void read_mounts(const std::string& root, std::vector<Mount>& v1, std::vector<Mount>& v2) {
  std::ifstream in(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream head(line.substr(0, dash));
    std::istringstream tail(line.substr(dash + 3));
    std::string skip;
    std::string type;
    std::string options;
    Mount mount;
    head >> skip >> skip >> skip >> mount.root >> mount.point;
    tail >> type >> skip >> options;
    if (type == "cgroup2") v2.push_back(mount);
    if (type == "cgroup" && has_word(options, "cpu")) v1.push_back(mount);
  }
}

int ceil_ratio(double quota, double period) {
  if (quota <= 0 || period <= 0) return 0;
  const double cpus = quota / period;
  if (cpus > 1e6) return 0;
  const int whole = static_cast<int>(cpus);
  return std::max(1, whole + (cpus > whole ? 1 : 0));
}

double read_number(const std::string& path) {
  std::ifstream in(path);
  double value = 0;
  return in >> value ? value : 0;
}

int limit_in(const std::string& folder, bool v2) {
  if (!v2) {
    return ceil_ratio(read_number(folder + "/cpu.cfs_quota_us"),
                      read_number(folder + "/cpu.cfs_period_us"));
  }
  std::ifstream in(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(in >> quota >> period) || quota == "max") return 0;
  return ceil_ratio(std::strtod(quota.c_str(), nullptr), period);
}

int least(int a, int b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

// A quota on any parent binds as well, so the walk goes up to the mount point.
int walk_up(const std::string& root, const Mount& mount, const std::string& group, bool v2) {
  std::string below = group;
  if (mount.root != "/") {
    // Seen from inside a container the group may lie outside what is mounted: only the mount
    // counts.
    below = starts_with_path(group, mount.root) ? group.substr(mount.root.size()) : "";
  }
  if (below.find("/..") != std::string::npos) below.clear();
  const std::string top = root + mount.point;
  int limit = limit_in(top, v2);
  for (; !below.empty() && below != "/"; below.erase(below.rfind('/'))) {
    std::string folder = top;
    folder += below;
    limit = least(limit, limit_in(folder, v2));
  }
  return limit;
}

}  // namespace

int cgroup_cpu_limit(const std::string& root) {
  std::vector<Mount> v1;
  std::vector<Mount> v2;
  read_mounts(root, v1, v2);
  int limit = 0;
  // A line: hierarchy:controllers:path, where v2 is always "0::path".
  std::ifstream in(root + "/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':');
    if (first == std::string::npos) continue;
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    const bool is_v2 = controllers.empty();
    if (group.empty() || group[0] != '/' || (!is_v2 && !has_word(controllers, "cpu"))) continue;
    for (const Mount& mount : is_v2 ? v2 : v1) {
      limit = least(limit, walk_up(root, mount, group, is_v2));
    }
  }
  return limit;
}

}  // namespace vl
