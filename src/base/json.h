// JSON from untrusted files: nesting is limited to 64 levels, size to 512 MiB, and errors
// are Error(kCorrupt | kUnsupported | kNotFound | kIo) that name the file and, for bad syntax, line
// and column. Text is UTF-8 or an error. Thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tidal {

enum class DuplicateKeys { kKeepLast, kReject };

nlohmann::json parse_json(std::string_view text, const std::string& name,
                          DuplicateKeys duplicates = DuplicateKeys::kKeepLast);

nlohmann::json read_json_file(const std::string& path);

// One line. JSON holds Unicode only: bytes that are not UTF-8 come out as U+FFFD.
std::string dump(const nlohmann::ordered_json& json);

}  // namespace tidal
