// Filters on lists and dicts, and the dispatch of all filters.
#include <algorithm>
#include <utility>

#include "jinja/calls.h"
#include "jinja/text_ops.h"

namespace tidal::jinja {
namespace {

// "a.b.0" of an item, like Jinja's attribute arguments; `otherwise` replaces what is missing.
Value attribute_path(Run& run, Value item, const Value& path, const Value* otherwise = nullptr) {
  const auto step_into = [&](const Value& key) {
    item = get_item(run, item, key);
    if (item.is_undefined() && otherwise != nullptr) item = *otherwise;
  };
  if (path.is_integer()) {
    step_into(path);
    return item;
  }
  if (!path.is_text()) run.error("an attribute is a string, not {}", type_name(path));
  const std::string& s = path.str();
  for (size_t begin = 0; begin <= s.size();) {
    const size_t end = std::min(s.find('.', begin), s.size());
    const std::string part = s.substr(begin, end - begin);
    const bool is_number = !part.empty() && part.size() < 10 &&
                           part.find_first_not_of("0123456789") == std::string::npos;
    step_into(is_number ? Value(int64_t{std::stoi(part)}) : Value::text(part));
    begin = end + 1;
  }
  return item;
}

// Sorting, min, max and unique compare strings in lower case unless told otherwise.
Value fold(Run& run, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.is_text()) return value;
  return run.text(change_case(run, value.as_text(), Case::kLower));
}

Value sort_key(Run& run, const Value& item, const Value* attribute, bool case_sensitive) {
  const bool has_attribute = attribute != nullptr && !attribute->is_none();
  if (has_attribute && attribute->is_text() && attribute->str().find(',') != std::string::npos) {
    run.unsupported("sorting by several attributes");
  }
  return fold(run, has_attribute ? attribute_path(run, item, *attribute) : item, case_sensitive);
}

using Keyed = std::vector<std::pair<Value, Value>>;  // sort key, item

std::vector<Value> sorted(Run& run, Keyed keyed, bool reverse) {
  run.allocate(keyed.size() * sizeof(keyed[0]));
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return reverse ? compare(run, b.first, a.first) < 0 : compare(run, a.first, b.first) < 0;
  });
  std::vector<Value> items;
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return items;
}

Value filter_default(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "default", {"default_value", "boolean"});
  const bool replaces = value.is_undefined() || (truth_argument(given[1], false) && !truth(value));
  if (!replaces) return value;
  return given[0] != nullptr ? *given[0] : run.text("", false);
}

Value filter_length(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "length");
  return length(run, value);
}

Value filter_first(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "first");
  const auto items = iterate(run, value);
  return items.empty() ? Value::undefined("first") : items.front();
}

Value filter_last(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "last");
  if (value.is_list() && value.as_list().kind == ListKind::kGenerator) {
    run.error("a generator has no last item");
  }
  const auto items = iterate(run, value);
  return items.empty() ? Value::undefined("last") : items.back();
}

Value filter_list(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "list");
  return run.list(iterate(run, value));
}

Value filter_reverse(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "reverse");
  if (value.is_text()) {
    return get_slice(run, value, Value::none(), Value::none(), Value(int64_t{-1}));
  }
  auto items = iterate(run, value);
  std::reverse(items.begin(), items.end());
  return run.list(std::move(items), ListKind::kGenerator);
}

Value filter_join(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "join", {"d", "attribute"});
  const bool has_attribute = given[1] != nullptr && !given[1]->is_none();
  std::vector<JinjaText> parts;
  for (const Value& item : iterate(run, value)) {
    parts.push_back(to_text(run, has_attribute ? attribute_path(run, item, *given[1]) : item));
    run.allocate(sizeof(JinjaText) + parts.back().size());
  }
  const JinjaText separator = given[0] != nullptr ? to_text(run, *given[0]) : JinjaText();
  return run.text(join(run, parts, separator));
}

Value filter_items(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "items");
  if (value.is_undefined()) return run.list({}, ListKind::kGenerator);
  if (!value.is_dict()) run.error("items takes a dict, not {}", type_name(value));
  return run.list(iterate(run, call_method(run, value, "items", {})), ListKind::kGenerator);
}

Value filter_dictsort(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "dictsort", {"case_sensitive", "by", "reverse"});
  const std::string by = text_argument(run, given[1], "key").str();
  if (by != "key" && by != "value") run.error("dictsort sorts by key or value, not '{}'", by);
  if (!value.is_dict()) run.error("dictsort takes a dict, not {}", type_name(value));
  Keyed keyed;
  for (const auto& [key, item] : value.as_dict().entries) {
    keyed.emplace_back(fold(run, by == "key" ? key : item, truth_argument(given[0], false)),
                       run.list({key, item}, ListKind::kTuple));
  }
  return run.list(sorted(run, std::move(keyed), truth_argument(given[2], false)));
}

Value filter_sort(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "sort", {"reverse", "case_sensitive", "attribute"});
  Keyed keyed;
  for (const Value& item : iterate(run, value)) {
    keyed.emplace_back(sort_key(run, item, given[2], truth_argument(given[1], false)), item);
  }
  return run.list(sorted(run, std::move(keyed), truth_argument(given[0], false)));
}

Value filter_unique(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "unique", {"case_sensitive", "attribute"});
  std::vector<Value> seen;
  std::vector<Value> items;
  for (const Value& item : iterate(run, value)) {
    const Value key = sort_key(run, item, given[1], truth_argument(given[0], false));
    const bool is_new = std::none_of(seen.begin(), seen.end(),
                                     [&](const Value& other) { return equal(run, key, other); });
    if (!is_new) continue;
    seen.push_back(key);
    items.push_back(item);
  }
  return run.list(std::move(items), ListKind::kGenerator);
}

Value extreme(Run& run, const Value& value, const Arguments& args, bool largest) {
  const auto given = args.bind(run, largest ? "max" : "min", {"case_sensitive", "attribute"});
  Value best = Value::undefined("no item");
  Value best_key;
  for (const Value& item : iterate(run, value)) {
    const Value key = sort_key(run, item, given[1], truth_argument(given[0], false));
    const bool better = best_key.is_undefined() || (largest ? compare(run, key, best_key) > 0
                                                            : compare(run, key, best_key) < 0);
    if (!better) continue;
    best = item;
    best_key = key;
  }
  return best;
}

Value filter_max(Run& run, const Value& value, const Arguments& args) {
  return extreme(run, value, args, true);
}

Value filter_min(Run& run, const Value& value, const Arguments& args) {
  return extreme(run, value, args, false);
}

Value filter_sum(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "sum", {"attribute", "start"});
  const bool has_attribute = given[0] != nullptr && !given[0]->is_none();
  Value total = given[1] != nullptr ? *given[1] : Value(int64_t{0});
  if (total.is_text()) run.error("sum takes no strings");
  for (const Value& item : iterate(run, value)) {
    total =
        arithmetic(run, "+", total, has_attribute ? attribute_path(run, item, *given[0]) : item);
  }
  return total;
}

// The name at the front of an argument list, and the arguments after it.
std::pair<std::string, Arguments> split_name(Run& run, const Arguments& args, size_t at) {
  const Value& name = args.positional[at];
  if (!name.is_text()) run.error("a filter or test is named by a string");
  Arguments rest = args;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<ptrdiff_t>(at) + 1);
  return {name.str(), std::move(rest)};
}

Value filter_map(Run& run, const Value& value, const Arguments& args) {
  if (!truth(value)) return run.list({}, ListKind::kGenerator);  // None too, as in Jinja
  std::vector<Value> items;
  if (args.positional.empty()) {
    const auto given = args.bind(run, "map", {"attribute", "default"});
    if (given[0] == nullptr) run.error("map needs a filter or an attribute");
    for (const Value& item : iterate(run, value)) {
      items.push_back(attribute_path(run, item, *given[0], given[1]));
    }
  } else {
    const auto [name, rest] = split_name(run, args, 0);
    for (const Value& item : iterate(run, value)) {
      items.push_back(call_filter(run, name, item, rest));
    }
  }
  return run.list(std::move(items), ListKind::kGenerator);
}

Value pick(Run& run, const Value& value, const Arguments& args, bool by_attribute, bool expected) {
  if (!truth(value)) return run.list({}, ListKind::kGenerator);
  if (by_attribute && args.positional.empty()) run.error("the name of an attribute is missing");
  const size_t at = by_attribute ? 1 : 0;
  std::optional<std::pair<std::string, Arguments>> test;
  if (args.positional.size() > at) test = split_name(run, args, at);
  std::vector<Value> items;
  for (const Value& item : iterate(run, value)) {
    const Value subject = by_attribute ? attribute_path(run, item, args.positional[0]) : item;
    const bool passes = test ? call_test(run, test->first, subject, test->second) : truth(subject);
    if (passes == expected) items.push_back(item);
  }
  return run.list(std::move(items), ListKind::kGenerator);
}

Value filter_select(Run& run, const Value& value, const Arguments& args) {
  return pick(run, value, args, false, true);
}

Value filter_reject(Run& run, const Value& value, const Arguments& args) {
  return pick(run, value, args, false, false);
}

Value filter_selectattr(Run& run, const Value& value, const Arguments& args) {
  return pick(run, value, args, true, true);
}

Value filter_rejectattr(Run& run, const Value& value, const Arguments& args) {
  return pick(run, value, args, true, false);
}

}  // namespace

Filter find_list_filter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> kFilters[] = {
      {"count", filter_length},      {"d", filter_default},     {"default", filter_default},
      {"dictsort", filter_dictsort}, {"first", filter_first},   {"items", filter_items},
      {"join", filter_join},         {"last", filter_last},     {"length", filter_length},
      {"list", filter_list},         {"map", filter_map},       {"max", filter_max},
      {"min", filter_min},           {"reject", filter_reject}, {"rejectattr", filter_rejectattr},
      {"reverse", filter_reverse},   {"select", filter_select}, {"selectattr", filter_selectattr},
      {"sort", filter_sort},         {"sum", filter_sum},       {"unique", filter_unique}};
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter;
  }
  return nullptr;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

Value call_filter(Run& run, const std::string& name, const Value& value, const Arguments& args) {
  run.step();
  Filter filter = find_text_filter(name);
  if (filter == nullptr) filter = find_list_filter(name);
  if (filter == nullptr) run.unsupported("the filter '{}'", name);
  // Of the others some give safe text in Python and some do not.
  if (value.is_safe_text() &&
      !is_one_of(name, {"safe", "string", "default", "d", "length", "count", "tojson", "replace",
                        "list", "join", "int", "float"})) {
    run.unsupported("the filter '{}' behind 'safe'", name);
  }
  const DepthGuard guard(run);
  return filter(run, value, args);
}

}  // namespace tidal::jinja
