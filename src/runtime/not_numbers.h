// What is said when a model's logits come out as NaN.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace tidal {

// `when`: "after 12 tokens". The weights may be fine: K of some models is beyond what f16 holds.
inline std::string not_numbers_message(std::string_view model, std::string_view when) {
  return fmt::format(
      "{} gave logits that are not numbers {}: K or V may be too large for an f16 or q8_0 cache, "
      "try -ctk bf16 -ctv bf16 (or f32); if that changes nothing the file may be damaged",
      model, when);
}

}  // namespace tidal
