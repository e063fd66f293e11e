// Builds the syntax tree. Invalid Jinja is kCorrupt, features this interpreter lacks ({% import %},
// {% block %}, ...) are kUnsupported; both name the line and quote it.
#pragma once

#include <memory>
#include <string_view>

#include "jinja/ast.h"

namespace tidal::jinja {

std::shared_ptr<const Program> parse_program(std::string_view source);

}  // namespace tidal::jinja
