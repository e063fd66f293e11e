#include "ops/factory/backend_factory.h"

#include <fmt/ranges.h>

#include "base/fail.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"

namespace tidal {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Backend> (*make)(int n_threads);
};

constexpr Entry kBackends[] = {
    {"cpu", make_cpu_backend},
    {"reference", [](int) { return make_reference_backend(); }},
};

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kBackends) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<Backend> make_backend(std::string_view name, int n_threads) {
  for (const Entry& entry : kBackends) {
    if (entry.name == name) return entry.make(n_threads);
  }
  fail_option("backend", ErrorCode::kUnsupported, "unknown back end '{}'; available: {}", name,
              fmt::join(backend_names(), ", "));
}

}  // namespace tidal
