#include "base/available_memory.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#include "base/cgroup.h"
#include "base/fail.h"

namespace tidal {

uint64_t available_memory() {
  uint64_t machine = std::numeric_limits<uint64_t>::max();
  std::ifstream file("/proc/meminfo");
  uint64_t sum = 0;
  bool said = false;
  for (std::string line; std::getline(file, line);) {
    const bool available = line.starts_with("MemAvailable:");
    if (!available && !line.starts_with("SwapFree:")) continue;
    said = said || available;
    sum += 1024 * std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10);
  }
  if (said) machine = sum;
  return std::min(machine, cgroup_free_memory().value_or(machine));
}

void require_memory(uint64_t bytes, std::string_view what, std::string_view remedy,
                    uint64_t available) {
  if (bytes <= available) return;
  constexpr double kGib = 1 << 30;
  fail(ErrorCode::kExhausted, "{} takes {:.1f} GiB, but {:.1f} GiB of memory is free: {}", what,
       static_cast<double>(bytes) / kGib, static_cast<double>(available) / kGib, remedy);
}

}  // namespace tidal
