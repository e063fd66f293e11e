#include "ops/factory/backend_factory.h"

#include "base/fail.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"

namespace tidal {

std::unique_ptr<Backend> make_backend(std::string_view name, int n_threads) {
  if (name == "cpu") return make_cpu_backend(n_threads);
  if (name == "reference") return make_reference_backend();
  fail(ErrorCode::kUnsupported, "unknown back end '{}', use --backend cpu or reference", name);
}

}  // namespace tidal
