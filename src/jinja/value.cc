#include "jinja/value.h"

#include "jinja/scope.h"

namespace tidal::jinja {

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name.is_text() && name.str() == key) return &value;
  }
  return nullptr;
}

Value* Namespace::find(std::string_view name) {
  for (auto& [attribute, value] : attributes) {
    if (attribute == name) return &value;
  }
  return nullptr;
}

int depth_of(const Value& value) {
  if (value.is_list()) return value.as_list().depth;
  if (value.is_dict()) return value.as_dict().depth;
  if (value.is<std::shared_ptr<LoopState>>()) {
    return value.get<std::shared_ptr<LoopState>>()->depth_of_items;
  }
  return 0;
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_integer()) return value.as_integer() != 0;
  if (value.is<double>()) return value.get<double>() != 0;
  if (value.is_text()) return !value.as_text().empty();
  if (value.is_list()) {
    return value.as_list().kind == ListKind::kGenerator || !value.as_list().items.empty();
  }
  if (value.is_dict()) return !value.as_dict().entries.empty();
  return true;
}

std::string type_name(const Value& value) {
  if (value.is_undefined()) return "undefined";
  if (value.is_none()) return "None";
  if (value.is<bool>()) return "bool";
  if (value.is<int64_t>()) return "int";
  if (value.is<double>()) return "float";
  if (value.is_text()) return "str";
  if (value.is_dict()) return "dict";
  if (value.is_list()) {
    switch (value.as_list().kind) {
      case ListKind::kList:
        return "list";
      case ListKind::kTuple:
        return "tuple";
      case ListKind::kView:
        return "view";
      case ListKind::kGenerator:
        return "generator";
    }
  }
  if (value.is<std::shared_ptr<Namespace>>()) return "namespace";
  if (value.is<std::shared_ptr<LoopState>>()) return "loop";
  if (value.is<std::shared_ptr<const Macro>>()) return "macro";
  return "function";
}

}  // namespace tidal::jinja
