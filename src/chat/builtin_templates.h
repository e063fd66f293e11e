// Chat templates known by name, for models that bring none or a bad one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidal {

struct BuiltinTemplate {
  std::string_view name;    // as llama.cpp names it
  std::string_view source;  // Jinja
  std::string_view end;     // of a turn
};

inline constexpr std::string_view kFallbackTemplate = "chatml";

// nullptr: none of that name.
const BuiltinTemplate* find_builtin_template(std::string_view name);
std::string builtin_template_names();  // "chatml, llama3, ..."

}  // namespace tidal
