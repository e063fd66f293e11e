// The tests behind `is`.
#include "jinja/calls.h"
#include "jinja/scope.h"
#include "jinja/text_ops.h"

namespace tidal::jinja {
namespace {

bool has_length(const Value& value) {
  return value.is_text() || value.is_dict() ||
         (value.is_list() && value.as_list().kind != ListKind::kGenerator);
}

bool is_callable(const Value& value) {
  return value.is<Builtin>() || value.is<Method>() || value.is<std::shared_ptr<const Macro>>() ||
         value.is_undefined() || value.is<std::shared_ptr<LoopState>>();
}

// Tests without arguments.
std::optional<bool> simple_test(std::string_view name, const Value& v) {
  if (name == "defined") return !v.is_undefined();
  if (name == "undefined") return v.is_undefined();
  if (name == "none") return v.is_none();
  if (name == "string") return v.is_text();
  if (name == "mapping") return v.is_dict();
  if (name == "sequence") {
    // Jinja only asks for a length and items: an undefined value has both.
    return has_length(v) || v.is_undefined();
  }
  if (name == "iterable")
    return v.is_text() || v.is_dict() || v.is_list() || v.is_undefined() ||
           v.is<std::shared_ptr<LoopState>>();
  if (name == "number") return v.is_number();
  if (name == "integer") return v.is<int64_t>();
  if (name == "float") return v.is<double>();
  if (name == "boolean") return v.is<bool>();
  if (name == "true") return v.is<bool>() && v.get<bool>();
  if (name == "false") return v.is<bool>() && !v.get<bool>();
  if (name == "callable") return is_callable(v);
  return std::nullopt;
}

int64_t whole(Run& run, const Value& value, std::string_view name) {
  if (!value.is_integer()) run.unsupported("the test '{}' of a {}", name, type_name(value));
  return value.as_integer();
}

// Tests of one argument that compare.
std::optional<bool> comparison(Run& run, std::string_view name, const Value& v, const Value& o) {
  if (name == "eq" || name == "equalto" || name == "==") return equal(run, v, o);
  if (name == "ne" || name == "!=") return !equal(run, v, o);
  if (name == "lt" || name == "lessthan" || name == "<") return compare(run, v, o) < 0;
  if (name == "le" || name == "<=") return compare(run, v, o) <= 0;
  if (name == "gt" || name == "greaterthan" || name == ">") return compare(run, v, o) > 0;
  if (name == "ge" || name == ">=") return compare(run, v, o) >= 0;
  if (name == "in") return contains(run, o, v);
  if (name == "divisibleby") {
    if (whole(run, o, name) == 0) run.error("division by zero");
    return whole(run, o, name) == -1 || whole(run, v, name) % whole(run, o, name) == 0;
  }
  if (name == "sameas") {
    const bool single = v.is_none() || v.is<bool>();
    if (!single && !o.is_none() && !o.is<bool>()) {
      run.unsupported("the test 'sameas' of anything but true, false and none");
    }
    return v.is_none() ? o.is_none() : v.is<bool>() && o.is<bool>() && equal(run, v, o);
  }
  return std::nullopt;
}

}  // namespace

bool call_test(Run& run, const std::string& name, const Value& value, const Arguments& args) {
  run.step();
  if (const auto result = simple_test(name, value)) {
    args.expect_none(run, name);
    return *result;
  }
  if (name == "odd" || name == "even") {
    args.expect_none(run, name);
    return (whole(run, value, name) % 2 != 0) == (name == "odd");
  }
  if (name == "lower" || name == "upper") {
    // As in Python: at least one letter has a case, and none has the other.
    const JinjaText text = to_text(run, value);
    const JinjaText lower = change_case(run, text, Case::kLower);
    const JinjaText upper = change_case(run, text, Case::kUpper);
    return lower.str() != upper.str() && text.str() == (name == "lower" ? lower : upper).str();
  }
  if (name == "filter" || name == "test") run.unsupported("the test '{}'", name);
  const bool has_one = args.positional.size() == 1 && args.keywords.empty();
  if (has_one) {
    const auto result = comparison(run, name, value, args.positional[0]);
    if (result) return *result;
  }
  run.unsupported("the test '{}' with {} arguments", name,
                  args.positional.size() + args.keywords.size());
}

}  // namespace tidal::jinja
