// Config from the metadata of a GGUF file.
#pragma once

#include "files/gguf.h"
#include "model/config.h"

namespace tidal {

// Throws Error(kCorrupt | kUnsupported | kNotFound) naming file and key or tensor. The result has
// passed validate().
Config read_gguf_config(const GgufFile& file);

}  // namespace tidal
