// What the control groups of this process allow, for versions 1 and 2.
//
// A process is in one group per hierarchy and also bound by the groups above it: the smallest limit
// counts. A group that cannot be seen (a container shows only part of the tree) or a missing or
// unreadable file limits nothing. Nothing throws.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace tidal {

// Where the system mounts them; tests pass other folders.
struct CgroupPaths {
  std::filesystem::path root = "/sys/fs/cgroup";
  std::filesystem::path membership = "/proc/self/cgroup";
};

// Processors the CPU quota can keep busy, rounded down, at least 1; nullopt: no quota.
std::optional<int> cgroup_cpus(const CgroupPaths& paths = {});

// Bytes this process may still take, counting droppable file pages; nullopt: no limit.
std::optional<uint64_t> cgroup_free_memory(const CgroupPaths& paths = {});

}  // namespace tidal
