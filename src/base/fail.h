// fail(code, "format", args...): throws tidal::Error with a formatted message.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "tidal/error.h"

namespace tidal {

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tidal
