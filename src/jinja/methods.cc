// Methods of strings, lists and dicts, and the global functions.
#include <algorithm>
#include <array>
#include <ctime>
#include <functional>

#include "jinja/calls.h"
#include "jinja/scope.h"
#include "jinja/text_ops.h"

namespace tidal::jinja {
namespace {

std::vector<JinjaText> to_texts(Run& run, const Value& value, std::string_view callee) {
  std::vector<JinjaText> texts;
  for (const Value& item : iterate(run, value)) {
    if (!item.is_text()) run.error("{} takes strings, not {}", callee, type_name(item));
    texts.push_back(item.as_text());
  }
  return texts;
}

Value text_list(Run& run, std::vector<JinjaText> texts, ListKind kind = ListKind::kList) {
  std::vector<Value> items;
  for (JinjaText& text : texts) items.push_back(run.text(std::move(text)));
  return run.list(std::move(items), kind);
}

const JinjaText* optional_text(Run& run, const Value* value) {
  if (value == nullptr || value->is_none()) return nullptr;
  if (!value->is_text()) run.error("a string is expected, not {}", type_name(*value));
  return &value->as_text();
}

const JinjaText& required_text(Run& run, const Value* value) {
  if (!value->is_text()) run.error("a string is expected, not {}", type_name(*value));
  return value->as_text();
}

Value strip_method(Run& run, const JinjaText& self, const std::string& name,
                   const Arguments& args) {
  const JinjaText* characters = optional_text(run, args.bind(run, name, {"chars"})[0]);
  return run.text(strip(run, self, characters, name != "rstrip", name != "lstrip"));
}

Value split_method(Run& run, const JinjaText& self, const std::string& name,
                   const Arguments& args) {
  const auto given = args.bind(run, name, {"sep", "maxsplit"});
  return text_list(
      run, split(run, self, optional_text(run, given[0]), integer_argument(run, given[1], -1)));
}

// The same from the right: differs from split only if the number of cuts is limited.
Value rsplit_method(Run& run, const JinjaText& self, const std::string& name,
                    const Arguments& args) {
  const auto given = args.bind(run, name, {"sep", "maxsplit"});
  const JinjaText* separator = optional_text(run, given[0]);
  const int64_t limit = integer_argument(run, given[1], -1);
  std::vector<JinjaText> parts = split(run, self, separator, -1);
  const auto most = static_cast<uint64_t>(limit) + 1;
  if (limit < 0 || parts.size() <= most) return text_list(run, std::move(parts));
  if (separator == nullptr) run.unsupported("rsplit at white space with a limit");
  const size_t head = parts.size() - static_cast<size_t>(limit);
  std::vector<JinjaText> first(parts.begin(), parts.begin() + static_cast<ptrdiff_t>(head));
  std::vector<JinjaText> result = {join(run, first, *separator)};
  result.insert(result.end(), parts.begin() + static_cast<ptrdiff_t>(head), parts.end());
  return text_list(run, std::move(result));
}

Value affix_method(Run& run, const JinjaText& self, const std::string& name,
                   const Arguments& args) {
  const Value& affix = *args.bind(run, name, {"affix"}, 1)[0];
  std::vector<JinjaText> candidates;
  if (affix.is_list() && affix.as_list().kind == ListKind::kTuple) {
    candidates = to_texts(run, affix, name);
  } else {
    candidates.push_back(required_text(run, &affix));
  }
  for (const JinjaText& candidate : candidates) {
    run.read(candidate.size());
    if (name == "startswith" ? self.str().starts_with(candidate.str())
                             : self.str().ends_with(candidate.str())) {
      return Value(true);
    }
  }
  return Value(false);
}

Value remove_affix_method(Run& run, const JinjaText& self, const std::string& name,
                          const Arguments& args) {
  const JinjaText& affix = required_text(run, args.bind(run, name, {"affix"}, 1)[0]);
  if (name == "removeprefix" && self.str().starts_with(affix.str())) {
    return run.text(self.slice(affix.size(), self.size()));
  }
  if (name == "removesuffix" && self.str().ends_with(affix.str())) {
    return run.text(self.slice(0, self.size() - affix.size()));
  }
  return run.text(self);
}

Value find_method(Run& run, const JinjaText& self, const std::string& name, const Arguments& args) {
  const JinjaText& part = required_text(run, args.bind(run, name, {"sub"}, 1)[0]);
  run.read(self.size());
  size_t found = find_bytes(self.str(), part.str(), 0);
  if (name == "rfind") {
    size_t next = found;
    while (next != std::string::npos) {
      found = next;
      run.step();
      if (next == self.size()) break;
      next = find_bytes(self.str(), part.str(), next + 1);
    }
  }
  if (found == std::string::npos) {
    if (name == "index") run.error("index: the substring is not found");
    return Value(int64_t{-1});
  }
  return Value(
      static_cast<int64_t>(count_characters(std::string_view(self.str()).substr(0, found))));
}

Value count_method(Run& run, const JinjaText& self, const std::string& name,
                   const Arguments& args) {
  const JinjaText& part = required_text(run, args.bind(run, name, {"sub"}, 1)[0]);
  run.read(self.size());
  if (part.empty()) return Value(static_cast<int64_t>(count_characters(self.str()) + 1));
  int64_t count = 0;
  for (size_t at = 0; (at = find_bytes(self.str(), part.str(), at)) != std::string::npos; ++count) {
    at += part.size();
    run.step();
  }
  return Value(count);
}

Value partition_method(Run& run, const JinjaText& self, const std::string& name,
                       const Arguments& args) {
  const JinjaText& separator = required_text(run, args.bind(run, name, {"sep"}, 1)[0]);
  if (separator.empty()) run.error("the separator of partition is empty");
  run.read(self.size());
  const size_t at = find_bytes(self.str(), separator.str(), 0);
  if (at == std::string::npos) return text_list(run, {self, {}, {}}, ListKind::kTuple);
  const size_t after = at + separator.size();
  return text_list(run, {self.slice(0, at), self.slice(at, after), self.slice(after, self.size())},
                   ListKind::kTuple);
}

Value replace_method(Run& run, const JinjaText& self, const std::string& name,
                     const Arguments& args) {
  const auto given = args.bind(run, name, {"old", "new", "count"}, 2);
  return run.text(replace(run, self, required_text(run, given[0]), required_text(run, given[1]),
                          integer_argument(run, given[2], -1)));
}

Value join_method(Run& run, const JinjaText& self, const std::string& name, const Arguments& args) {
  const Value& items = *args.bind(run, name, {"iterable"}, 1)[0];
  return run.text(join(run, to_texts(run, items, name), self));
}

Value case_method(Run& run, const JinjaText& self, const std::string& name, const Arguments& args) {
  args.expect_none(run, name);
  const Case to = name == "upper"   ? Case::kUpper
                  : name == "lower" ? Case::kLower
                  : name == "title" ? Case::kTitle
                                    : Case::kCapitalize;
  return run.text(change_case(run, self, to));
}

Value class_method(Run& run, const JinjaText& self, const std::string& name,
                   const Arguments& args) {
  args.expect_none(run, name);
  const std::string& s = self.str();
  run.read(s.size());
  for (size_t at = 0; at < s.size(); at += character_length(s, at)) {
    const char32_t c = code_point_at(s, at);
    if (name == "isspace") {
      if (!is_space(c)) return Value(false);
      continue;
    }
    if (c >= 0x80) run.unsupported("{} of a string beyond ASCII", name);
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool matches = name == "isalpha" ? letter : name == "isalnum" ? letter || digit : digit;
    if (!matches) return Value(false);
  }
  return Value(!s.empty());
}

using StringMethod = Value (*)(Run&, const JinjaText&, const std::string&, const Arguments&);

StringMethod find_string_method(std::string_view name) {
  static constexpr std::pair<std::string_view, StringMethod> kMethods[] = {
      {"strip", strip_method},     {"lstrip", strip_method},
      {"rstrip", strip_method},    {"split", split_method},
      {"rsplit", rsplit_method},   {"startswith", affix_method},
      {"endswith", affix_method},  {"removeprefix", remove_affix_method},
      {"find", find_method},       {"removesuffix", remove_affix_method},
      {"rfind", find_method},      {"index", find_method},
      {"count", count_method},     {"partition", partition_method},
      {"join", join_method},       {"replace", replace_method},
      {"upper", case_method},      {"lower", case_method},
      {"title", case_method},      {"capitalize", case_method},
      {"isspace", class_method},   {"isalpha", class_method},
      {"isalnum", class_method},   {"isdigit", class_method},
      {"isdecimal", class_method}, {"isnumeric", class_method},
      {"format", format_method}};
  for (const auto& [known, method] : kMethods) {
    if (known == name) return method;
  }
  return nullptr;
}

Value call_dict_method(Run& run, const Dict& dict, const std::string& name, const Arguments& args) {
  if (name == "get") {
    const auto given = args.bind(run, name, {"key", "default"}, 1);
    const Value* found = lookup(run, dict, *given[0]);
    return found != nullptr ? *found : given[1] != nullptr ? *given[1] : Value::none();
  }
  args.expect_none(run, name);
  if (name == "copy") return run.dict(dict.entries);
  if (name != "items" && name != "keys" && name != "values") {
    run.unsupported("the method '{}' of a dict", name);
  }
  std::vector<Value> items;
  for (const auto& [key, value] : dict.entries) {
    if (name == "items") {
      items.push_back(run.list({key, value}, ListKind::kTuple));
    } else {
      items.push_back(name == "keys" ? key : value);
    }
  }
  return run.list(std::move(items), ListKind::kView);
}

Value call_list_method(Run& run, const List& list, const std::string& name, const Arguments& args) {
  if (name == "copy") return run.list(list.items, list.kind);
  if (name != "count" && name != "index") run.unsupported("the method '{}' of a list", name);
  const Value& sought = *args.bind(run, name, {"value"}, 1)[0];
  int64_t count = 0;
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (!equal(run, list.items[i], sought)) continue;
    if (name == "index") return Value(static_cast<int64_t>(i));
    ++count;
  }
  if (name == "index") run.error("index: the value is not in the list");
  return Value(count);
}

}  // namespace

Value call_string_method(Run& run, const Value& self, const std::string& name,
                         const Arguments& args) {
  if (self.is_safe_text()) run.unsupported("the method '{}' of text behind 'safe'", name);
  if (name == "splitlines") {
    args.expect_none(run, name);
    return text_list(run, split_lines(run, self.as_text()));
  }
  const StringMethod method = find_string_method(name);
  if (method == nullptr) run.unsupported("the method '{}' of a string", name);
  return method(run, self.as_text(), name, args);
}

Value call_method(Run& run, const Value& self, const std::string& name, const Arguments& args) {
  run.step();
  if (self.is_text()) return call_string_method(run, self, name, args);
  if (self.is_dict()) return call_dict_method(run, self.as_dict(), name, args);
  if (self.is_list()) return call_list_method(run, self.as_list(), name, args);
  if (self.is<std::shared_ptr<LoopState>>() && name == "cycle") {
    if (args.positional.empty() || !args.keywords.empty()) run.error("cycle takes values");
    const size_t index = self.get<std::shared_ptr<LoopState>>()->index;
    return args.positional[index % args.positional.size()];
  }
  run.unsupported("the method '{}' of a {}", name, type_name(self));
}

}  // namespace tidal::jinja
