// Any bytes as config.json: a Config that passes its checks, or an Error.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "model/hf_config.h"
#include "tidal/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const tidal::Config config = tidal::read_hf_config(tidal::parse_json(text, "fuzz"), "fuzz");
    tidal::validate(config, "fuzz");
    const tidal::RopeTable table(config.rope, config.attention().head_dim);
    std::vector<float> angles(static_cast<size_t>(config.attention().head_dim));
    table.fill(config.context_length - 1, angles.data());
    for (const float value : angles) {
      if (!std::isfinite(value)) std::abort();
    }
  } catch (const tidal::Error&) {
  }
  return 0;
}
