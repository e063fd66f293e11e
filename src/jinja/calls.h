// What templates call: filters, tests, methods, global functions; and how attributes and items are
// found. Names and meanings are those of Jinja and Python; unknown ones are kUnsupported.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/run.h"

namespace tidal::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keywords;

  // One value per parameter, in order; nullptr if none was given. An error if an argument has no
  // parameter or a required one is missing.
  std::vector<const Value*> bind(Run& run, std::string_view callee,
                                 std::initializer_list<std::string_view> parameters,
                                 size_t required = 0) const;
  void expect_none(Run& run, std::string_view callee) const { bind(run, callee, {}); }
};

Value call_filter(Run& run, const std::string& name, const Value& value, const Arguments& args);
bool call_test(Run& run, const std::string& name, const Value& value, const Arguments& args);
Value call_method(Run& run, const Value& self, const std::string& name, const Arguments& args);
Value call_builtin(Run& run, const std::string& name, const Arguments& args);
bool is_builtin(std::string_view name);

// object.name and object[key]; undefined if absent.
Value get_attribute(Run& run, const Value& object, const std::string& name);
Value get_item(Run& run, const Value& object, const Value& key);
Value get_slice(Run& run, const Value& object, const Value& start, const Value& stop,
                const Value& step);
// a OP b for + - * / // % **.
Value arithmetic(Run& run, std::string_view op, const Value& a, const Value& b);

// The parts of call_filter and call_method; none: no such filter there.
using Filter = Value (*)(Run& run, const Value& value, const Arguments& args);
Filter find_text_filter(std::string_view name);
Filter find_list_filter(std::string_view name);
Value call_string_method(Run& run, const Value& self, const std::string& name,
                         const Arguments& args);
Value format_method(Run& run, const JinjaText& self, const std::string& name,
                    const Arguments& args);

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names);

// Argument checks, with errors in the caller's name.
int64_t integer_argument(Run& run, const Value* value, int64_t otherwise);
JinjaText text_argument(Run& run, const Value* value, std::string_view otherwise);
bool truth_argument(const Value* value, bool otherwise);

}  // namespace tidal::jinja
