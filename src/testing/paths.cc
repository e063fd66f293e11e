#include "testing/paths.h"

#include <cstdlib>

namespace tidal::test {

std::string data_path(const std::string& name) { return TIDAL_SOURCE_DIR "/tests/data/" + name; }

std::string shared_path(const std::string& name) {
  return TIDAL_SOURCE_DIR "/../shared/data/" + name;
}

std::string smollm2_path() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string folder = cache != nullptr && *cache != '\0'
                                 ? std::string(cache)
                                 : std::string(home == nullptr ? "" : home) + "/.cache";
  return folder + "/tidal/SmolLM2-135M-Instruct.Q4_1.gguf";
}

}  // namespace tidal::test
