// Equality, order, membership and iteration of values, with Python's semantics.
#include <cstring>
#include <utility>

#include "jinja/run.h"
#include "jinja/scope.h"

namespace tidal::jinja {
namespace {

bool equal_lists(Run& run, const List& a, const List& b) {
  const bool same_kind = a.kind == b.kind && a.kind != ListKind::kGenerator;
  if (!same_kind || a.items.size() != b.items.size()) return &a == &b;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(run, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Run& run, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = lookup(run, b, key);
    if (other == nullptr || !equal(run, value, *other)) return false;
  }
  return true;
}

template <typename T>
int three_way(T a, T b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

}  // namespace

bool equal(Run& run, const Value& a, const Value& b) {
  run.step();
  if (a.is_integer() && b.is_integer()) return a.as_integer() == b.as_integer();
  if (a.is_number() && b.is_number()) {
    const auto wide = [](const Value& v) {
      return v.is<double>() ? static_cast<long double>(v.get<double>())
                            : static_cast<long double>(v.as_integer());
    };
    return wide(a) == wide(b);
  }
  if (a.is_text() && b.is_text()) {
    run.read(std::min(a.as_text().size(), b.as_text().size()));
    return a.str() == b.str();
  }
  if (a.is_undefined() || a.is_none()) {
    return a.is_undefined() ? b.is_undefined() : b.is_none();
  }
  if (a.is_list() && b.is_list()) return equal_lists(run, a.as_list(), b.as_list());
  if (a.is_dict() && b.is_dict()) return equal_dicts(run, a.as_dict(), b.as_dict());
  const auto same_object = [&]<typename T>(std::in_place_type_t<T>) {
    return a.is<T>() && b.is<T>() && a.get<T>() == b.get<T>();
  };
  return same_object(std::in_place_type<std::shared_ptr<Namespace>>) ||
         same_object(std::in_place_type<std::shared_ptr<LoopState>>) ||
         same_object(std::in_place_type<std::shared_ptr<const Macro>>) ||
         (a.is<Builtin>() && b.is<Builtin>() && a.get<Builtin>().name == b.get<Builtin>().name);
}

int compare(Run& run, const Value& a, const Value& b) {
  run.step();
  if (a.is_integer() && b.is_integer()) return three_way(a.as_integer(), b.as_integer());
  if (a.is_number() && b.is_number()) {
    return three_way<long double>(a.is<double>() ? a.get<double>() : a.as_integer(),
                                  b.is<double>() ? b.get<double>() : b.as_integer());
  }
  if (a.is_text() && b.is_text()) {
    run.read(std::min(a.as_text().size(), b.as_text().size()));
    return a.str().compare(b.str());
  }
  if (a.is_list() && b.is_list() && a.as_list().kind == b.as_list().kind &&
      a.as_list().kind <= ListKind::kTuple) {
    const auto& left = a.as_list().items;
    const auto& right = b.as_list().items;
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      if (!equal(run, left[i], right[i])) return compare(run, left[i], right[i]);
    }
    return three_way(left.size(), right.size());
  }
  run.error("{} and {} cannot be ordered", type_name(a), type_name(b));
}

bool contains(Run& run, const Value& container, const Value& item) {
  run.step();
  if (container.is_text()) {
    if (!item.is_text()) run.error("only a string can be in a string, not {}", type_name(item));
    const std::string& text = container.str();
    const std::string& part = item.str();
    run.read(text.size() + part.size());
    return memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
  }
  if (container.is_dict()) return lookup(run, container.as_dict(), item) != nullptr;
  for (const Value& element : iterate(run, container)) {
    if (equal(run, element, item)) return true;
  }
  return false;
}

const Value* lookup(Run& run, const Dict& dict, const Value& key) {
  run.step(static_cast<int64_t>(dict.entries.size() / 16) + 1);
  if (key.is_text()) return dict.find(key.str());
  if (key.is_dict() || (key.is_list() && key.as_list().kind == ListKind::kList)) {
    run.error("a {} cannot be the key of a dict", type_name(key));
  }
  for (const auto& [name, value] : dict.entries) {
    if (equal(run, name, key)) return &value;
  }
  return nullptr;
}

std::vector<Value> iterate(Run& run, const Value& value) {
  if (value.is_undefined()) return {};
  if (value.is_list()) {
    const List& list = value.as_list();
    if (list.kind == ListKind::kGenerator && std::exchange(list.consumed, true)) return {};
    run.allocate(list.items.size() * sizeof(Value));
    return list.items;
  }
  std::vector<Value> items;
  if (value.is_dict()) {
    run.allocate(value.as_dict().entries.size() * sizeof(Value));
    for (const auto& entry : value.as_dict().entries) items.push_back(entry.first);
    return items;
  }
  if (value.is_text()) {
    const JinjaText& text = value.as_text();
    for (size_t at = 0; at < text.size();) {
      const size_t end = at + character_length(text.str(), at);
      run.step();
      run.allocate(sizeof(Value));
      items.push_back(run.text(text.slice(at, end)));
      at = end;
    }
    return items;
  }
  run.error("a {} cannot be iterated", type_name(value));
}

Value length(Run& run, const Value& value) {
  if (value.is_text()) {
    run.read(value.as_text().size());
    return Value(static_cast<int64_t>(count_characters(value.str())));
  }
  if (value.is_undefined()) return Value(int64_t{0});
  if (value.is_dict()) return Value(static_cast<int64_t>(value.as_dict().entries.size()));
  if (value.is_list() && value.as_list().kind != ListKind::kGenerator) {
    return Value(static_cast<int64_t>(value.as_list().items.size()));
  }
  if (value.is<std::shared_ptr<LoopState>>()) {
    return Value(static_cast<int64_t>(
        value.get<std::shared_ptr<LoopState>>()->items.as_list().items.size()));
  }
  run.error("a {} has no length", type_name(value));
}

}  // namespace tidal::jinja
