#include "ops/factory/backend_factory.h"

#include <fmt/ranges.h>

#include "base/fail.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"

namespace tidal {
namespace {

struct Entry {
  std::string name;
  MakeBackend make;
};

std::vector<Entry>& entries() {
  static std::vector<Entry> all = {
      {"cpu", make_cpu_backend},
      {"reference", [](int) { return make_reference_backend(); }},
  };
  return all;
}

}  // namespace

bool add_backend(std::string_view name, MakeBackend make) {
  for (Entry& entry : entries()) {
    if (entry.name == name) {
      entry.make = make;
      return true;
    }
  }
  entries().push_back({std::string(name), make});
  return true;
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Entry& entry : entries()) names.push_back(entry.name);
  return names;
}

std::unique_ptr<Backend> make_backend(std::string_view name, int n_threads) {
  for (const Entry& entry : entries()) {
    if (entry.name == name) return entry.make(n_threads);
  }
  fail_option("backend", ErrorCode::kUnsupported, "unknown back end '{}'; available: {}", name,
              fmt::join(backend_names(), ", "));
}

}  // namespace tidal
