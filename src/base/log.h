// Logs go to stderr, at the level in TIDAL_LOG (trace, debug, info, warn, error, off; default
// warn). init_logging() reads it; -v raises it to info.
#pragma once

#include <spdlog/spdlog.h>

namespace tidal {

void init_logging(bool verbose);

}  // namespace tidal
