// Builds the syntax tree. What is no Jinja is kCorrupt, what this interpreter does not know
// ({% import %}, {% block %}, ...) is kUnsupported; both name the line and quote it.
#pragma once

#include <memory>
#include <string_view>

#include "jinja/ast.h"

namespace tidal::jinja {

std::shared_ptr<const Program> parse_program(std::string_view source);

}  // namespace tidal::jinja
