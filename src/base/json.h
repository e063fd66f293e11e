// JSON from untrusted files: nesting is limited to 64 levels, size to 512 MiB, and errors are
// Error(kCorrupt | kUnsupported | kNotFound | kIo) naming the file and, for bad syntax, line and
// column. Text that is not UTF-8 is an error. Thread-safe.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace tidal {

enum class DuplicateKeys { kKeepLast, kReject };

nlohmann::json parse_json(std::string_view text, const std::string& name,
                          DuplicateKeys duplicates = DuplicateKeys::kKeepLast);

// The same with keys in the order in which they stand, of which the last counts where one appears
// twice. Looking one up takes time in proportion to their number, so an object may have 1,024.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& name);

nlohmann::json read_json_file(const std::string& path);

// On one line. JSON holds only Unicode: bytes that are not UTF-8 become U+FFFD.
std::string dump(const nlohmann::ordered_json& json);

}  // namespace tidal
