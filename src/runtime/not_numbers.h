// How NaN logits are handled.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>

#include "base/fail.h"

namespace tidal {

inline bool has_nan(std::span<const float> logits) {
  return std::ranges::any_of(logits, [](float logit) { return std::isnan(logit); });
}

// `when`: "after 12 tokens". The weights may be fine: in some models K exceeds the range of f16.
inline std::string not_numbers_message(std::string_view model, std::string_view when) {
  return fmt::format(
      "{} gave logits that are not numbers {}: K or V may be too large for an f16 or q8_0 cache; "
      "try -ctk bf16 -ctv bf16 (or f32); if that changes nothing the file may be damaged",
      model, when);
}

[[noreturn]] inline void fail_not_numbers(std::string_view model, std::string_view when) {
  fail(ErrorCode::kCorrupt, "{}", not_numbers_message(model, when));
}

}  // namespace tidal
