// quote(), printable(): text of unknown origin, made fit for an error message or a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tidal {

// A string from a file as it may be shown to a person: quoted, escaped, cut after max_length bytes.
// Accepts any bytes; the result is printable UTF-8. (fmt's own "{:?}" aborts on some bad UTF-8.)
std::string quote(std::string_view text, size_t max_length = 80);

// The whole text as one line: controls and invalid UTF-8 are escaped, the rest stays.
std::string printable(std::string_view text);

}  // namespace tidal
