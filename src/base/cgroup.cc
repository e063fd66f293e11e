#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace tidal {
namespace {

namespace fs = std::filesystem;

// The group at `path` below `base`, and those above it. A container may show only a subtree while
// the path still starts at the top: then the leading part is dropped.
void add_chain(const fs::path& base, const fs::path& path, std::vector<fs::path>* chain) {
  std::error_code ignored;
  if (!fs::is_directory(base, ignored)) return;
  fs::path inside = path.relative_path();
  while (!inside.empty() && !fs::is_directory(base / inside, ignored)) {
    fs::path rest;
    for (auto part = std::next(inside.begin()); part != inside.end(); ++part) rest /= *part;
    inside = rest;
  }
  for (; !inside.empty(); inside = inside.parent_path()) chain->push_back(base / inside);
  chain->push_back(base);
}

bool names(std::string_view list, std::string_view controller) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == controller) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Every folder whose limits of this kind ("cpu", "memory") bind the process.
std::vector<fs::path> groups(const CgroupPaths& paths, std::string_view controller) {
  std::vector<fs::path> found;
  fs::path own = "/";  // in the version 1 hierarchy that has the controller
  std::string hierarchy(controller);
  std::ifstream file(paths.membership);
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    if (controllers.empty()) {
      add_chain(paths.root, path, &found);
      add_chain(paths.root / "unified", path, &found);
    } else if (names(controllers, controller)) {
      own = path;
      hierarchy = controllers;
    }
  }
  add_chain(paths.root / controller, own, &found);
  if (hierarchy != controller) add_chain(paths.root / hierarchy, own, &found);
  if (found.empty()) found.push_back(paths.root);
  return found;
}

std::optional<int64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? std::optional(value) : std::nullopt;
}

// The sum of these counters of a memory.stat file.
int64_t read_stats(const fs::path& path, std::string_view one, std::string_view other) {
  std::ifstream file(path);
  std::string name;
  int64_t value = 0, sum = 0;
  while (file >> name >> value) {
    if (name == one || name == other) sum += value;
  }
  return sum;
}

}  // namespace

std::optional<int> cgroup_cpus(const CgroupPaths& paths) {
  std::optional<int> fewest;
  const auto limit = [&](std::optional<int64_t> quota, std::optional<int64_t> period) {
    if (!quota.has_value() || !period.has_value() || *quota <= 0 || *period <= 0) return;
    const auto cpus = static_cast<int>(std::clamp<int64_t>(*quota / *period, 1, 1 << 20));
    fewest = std::min(fewest.value_or(cpus), cpus);
  };
  for (const fs::path& group : groups(paths, "cpu")) {
    limit(read_number(group / "cpu.cfs_quota_us"), read_number(group / "cpu.cfs_period_us"));
    std::ifstream file(group / "cpu.max");  // "QUOTA PERIOD", or "max PERIOD"
    int64_t quota = 0, period = 0;
    if (file >> quota >> period) limit(quota, period);
  }
  return fewest;
}

std::optional<uint64_t> cgroup_free_memory(const CgroupPaths& paths) {
  std::optional<uint64_t> least;
  const auto limit = [&](std::optional<int64_t> most, std::optional<int64_t> used, int64_t cached) {
    if (!most.has_value() || !used.has_value()) return;
    const int64_t taken = std::max<int64_t>(0, *used - cached);
    const auto left = static_cast<uint64_t>(std::max<int64_t>(0, *most - taken));
    least = std::min(least.value_or(left), left);
  };
  for (const fs::path& group : groups(paths, "memory")) {
    limit(read_number(group / "memory.limit_in_bytes"),
          read_number(group / "memory.usage_in_bytes"),
          read_stats(group / "memory.stat", "total_inactive_file", "total_active_file"));
    limit(read_number(group / "memory.max"), read_number(group / "memory.current"),
          read_stats(group / "memory.stat", "inactive_file", "active_file"));
  }
  return least;
}

}  // namespace tidal
