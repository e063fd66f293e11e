// What a command writes: results to standard output, all else to standard error.
//
// Neither ever throws. A result that cannot be written is remembered, and main() makes it an error;
// a remark that cannot be written is nobody's loss. Whoever prints text that comes out of a model
// file passes it through printable() (base/quote.h); note() does so by itself.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "tidal/engine.h"

namespace tidal::cli {

using Json = nlohmann::ordered_json;

// To standard output, or nowhere after a failure.
void put_text(std::string_view text);
void flush_output();
// errno of the first write that failed, or 0.
int output_error();

template <typename... Args>
void put(fmt::format_string<Args...> format, Args&&... args) {
  put_text(fmt::format(format, std::forward<Args>(args)...));
}
void put_json(const Json& json);  // one line

// To standard error, behind what was put so far.
void note_text(std::string_view text);
// One line of it, made printable.
void note_line(std::string_view line);
void note_error(std::string_view message);  // "error: …"
template <typename... Args>
void note(fmt::format_string<Args...> format, Args&&... args) {
  note_line(fmt::format(format, std::forward<Args>(args)...));
}

// What went wrong, with options as flags.
std::string message_of(const std::exception& error);

std::string rows_text(const RowsReport& rows);  // "read 12.3 % of the cache rows"

}  // namespace tidal::cli
