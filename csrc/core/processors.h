// How many threads a process can run at once.
#pragma once

#include <string>

namespace mas {

// The processors of the affinity mask, or fewer where control groups allow less time: at least 1.
int available_threads();

// The least CPU quota of the control groups of this process and of those above them, in processors
// rounded up; 0 without one. `proc`: the folder that has self/cgroup and self/mountinfo.
int quota_threads(const std::string& proc = "/proc");

}  // namespace mas
