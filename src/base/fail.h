// fail(code, "format", args...): throws tidal::Error with a formatted message. Options appear in it
// as `name`, which front ends replace by their own spelling; fail_option() names the one at fault.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "tidal/error.h"

namespace tidal {

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
[[noreturn]] void fail_option(std::string_view option, ErrorCode code,
                              fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...), std::string(option));
}

}  // namespace tidal
