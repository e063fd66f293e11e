#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <cstdlib>
#include <memory>

namespace tidal {

void init_logging(bool verbose) {
  auto logger =
      std::make_shared<spdlog::logger>("tidal", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%l: %v");
  const char* level = std::getenv("TIDAL_LOG");
  logger->set_level(level != nullptr ? spdlog::level::from_str(level)
                    : verbose        ? spdlog::level::info
                                     : spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace tidal
