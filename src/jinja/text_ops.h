// Python's string operations on marked text. Positions and counts are in characters where Python's
// are. Pure except for what they charge to the run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jinja/run.h"

namespace tidal::jinja {

// Byte offset of the first `part` at or after `from`, or npos. Linear time.
size_t find_bytes(const std::string& text, const std::string& part, size_t from);

// Without `characters`: white space.
JinjaText strip(Run& run, const JinjaText& text, const JinjaText* characters, bool left,
                bool right);
// Without `separator`: at white space. limit < 0: none.
std::vector<JinjaText> split(Run& run, const JinjaText& text, const JinjaText* separator,
                             int64_t limit);
std::vector<JinjaText> split_lines(Run& run, const JinjaText& text);
JinjaText replace(Run& run, const JinjaText& text, const JinjaText& from, const JinjaText& to,
                  int64_t limit);
JinjaText join(Run& run, const std::vector<JinjaText>& parts, const JinjaText& separator);

// As Python's markupsafe does for HTML.
JinjaText escape(Run& run, const JinjaText& text);

enum class Case { kUpper, kLower, kTitle, kCapitalize };
// kTitle: every run of letters, like str.title. An error for the few characters whose other case is
// several characters.
JinjaText change_case(Run& run, const JinjaText& text, Case to);

}  // namespace tidal::jinja
