// Where names live during a render, and what scopes hold: loops and macros. Owned by the
// Interpreter's render; one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "jinja/ast.h"
#include "jinja/value.h"

namespace tidal::jinja {

struct Scope {
  std::shared_ptr<Scope> parent;
  std::unordered_map<std::string, Value> names;
  Charge charge = {};

  const Value* find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
      const auto found = scope->names.find(name);
      if (found != scope->names.end()) return &found->second;
    }
    return nullptr;
  }
};

struct LoopState {
  Value items;  // a list
  size_t index = 0;
  int depth_of_items = 0;
};

struct Macro {
  const Stmt* definition;
  std::shared_ptr<Scope> scope;  // in which it was defined
};

}  // namespace tidal::jinja
