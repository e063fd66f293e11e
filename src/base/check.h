// TIDAL_CHECK(condition, "format", args...): aborts with file, line and message if a caller breaks
// a contract. It stays on in release builds; keep it out of innermost loops.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace tidal {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               std::string_view message);

}  // namespace tidal

#define TIDAL_CHECK(condition, ...)                                                         \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::tidal::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)
