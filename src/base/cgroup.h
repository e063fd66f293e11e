// What the control groups of this process allow it, in versions 1 and 2.
//
// A process is in one group of each hierarchy and bound by those above it too: the smallest limit
// counts. A group that cannot be seen (a container shows only part of the tree) or a file that is
// missing or unreadable limits nothing. Nothing throws.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace tidal {

// Where the system shows them; tests show others.
struct CgroupPaths {
  std::filesystem::path root = "/sys/fs/cgroup";
  std::filesystem::path membership = "/proc/self/cgroup";
};

// Processors that the CPU quota keeps busy, rounded down, at least 1; nullopt: no quota.
std::optional<int> cgroup_cpus(const CgroupPaths& paths = {});

// Bytes this process may still take, file pages that can be dropped included; nullopt: no limit.
std::optional<uint64_t> cgroup_free_memory(const CgroupPaths& paths = {});

}  // namespace tidal
