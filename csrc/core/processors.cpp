#include "processors.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace mas {

namespace {

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, by);) parts.push_back(part);
  return parts;
}

bool has(const std::vector<std::string>& parts, const std::string& one) {
  return std::find(parts.begin(), parts.end(), one) != parts.end();
}

// The processors that a group's own limit allows; 0 if it has none. In v2, cpu.max is "max 100000"
// or "150000 100000"; v1 has two files, with a quota of -1 if there is none. Both are in
// microseconds.
double quota_of(const std::string& group, bool v2) {
  double quota = 0, period = 0;
  if (v2) {
    std::ifstream(group + "/cpu.max") >> quota >> period;
  } else {
    std::ifstream(group + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(group + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

struct Mount {
  std::string root, point;  // which group is mounted, and where
};

// The mount of the control group hierarchy that limits processors.
bool find_mount(const std::string& proc, bool v2, Mount& mount) {
  std::ifstream file(proc + "/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    // 35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw
    const auto fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 5 || fields.end() - dash < 4) continue;
    if (v2 ? dash[1] == "cgroup2" : dash[1] == "cgroup" && has(split(dash[3], ','), "cpu")) {
      mount = {fields[3], fields[4]};
      return true;
    }
  }
  return false;
}

}  // namespace

int quota_threads(const std::string& proc) {
  double least = 0;
  std::ifstream file(proc + "/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    // "0::/user.slice" in v2, "4:cpu,cpuacct:/docker/12ab" in v1
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool v2 = controllers.empty();
    Mount mount;
    if (!(v2 || has(split(controllers, ','), "cpu")) || !find_mount(proc, v2, mount)) continue;
    std::string path = line.substr(second + 1);
    // A container sees its own group as the root of the mount, whatever the path is outside.
    if (mount.root != "/" && path.rfind(mount.root, 0) == 0) path = path.substr(mount.root.size());
    if (path.rfind("/..", 0) == 0) path.clear();
    for (;;) {
      while (!path.empty() && path.back() == '/') path.pop_back();
      const double quota = quota_of(mount.point + path, v2);
      if (quota > 0) least = least > 0 ? std::min(least, quota) : quota;
      if (path.empty()) break;
      const size_t slash = path.rfind('/');
      path.resize(slash == std::string::npos ? 0 : slash);
    }
  }
  // Rounding errors must not add a processor.
  return least > 0 ? std::max(1, int(std::ceil(std::min(least, 1e6) - 1e-6))) : 0;
}

int available_threads() {
  int count = int(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
  const int quota = quota_threads();
  if (quota > 0) count = std::min(count, quota);
  return std::max(1, count);
}

}  // namespace mas
