// Arguments, attributes, items, slices and arithmetic.
#include <algorithm>
#include <array>
#include <cmath>

#include "jinja/calls.h"
#include "jinja/scope.h"
#include "jinja/text_ops.h"

namespace tidal::jinja {
namespace {

using NameList = std::initializer_list<std::string_view>;

Value method_or_undefined(const std::string& name, NameList methods) {
  return is_one_of(name, methods) ? Value(Method{name}) : Value::undefined(name);
}

Value loop_attribute(Run& run, const LoopState& loop, const std::string& name) {
  const auto& items = loop.items.as_list().items;
  const auto number = [](size_t n) { return Value(static_cast<int64_t>(n)); };
  if (name == "index") return number(loop.index + 1);
  if (name == "index0") return number(loop.index);
  if (name == "first") return Value(loop.index == 0);
  if (name == "last") return Value(loop.index + 1 == items.size());
  if (name == "length") return number(items.size());
  if (name == "revindex") return number(items.size() - loop.index);
  if (name == "revindex0") return number(items.size() - loop.index - 1);
  if (name == "depth") return Value(int64_t{1});  // only recursive loops increase it
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") {
    return loop.index > 0 ? items[loop.index - 1] : Value::undefined("previtem");
  }
  if (name == "nextitem") {
    return loop.index + 1 < items.size() ? items[loop.index + 1] : Value::undefined("nextitem");
  }
  if (name == "cycle") return Value(Method{name});
  if (name == "changed") run.unsupported("loop.changed");
  return Value::undefined(name);
}

// Methods that exist in Python. The sandbox hides those that modify their object.
Value string_attribute(const std::string& name) {
  return method_or_undefined(
      name,
      {"capitalize",   "casefold",    "center",    "count",      "encode",       "endswith",
       "expandtabs",   "find",        "format",    "format_map", "index",        "isalnum",
       "isalpha",      "isascii",     "isdecimal", "isdigit",    "isidentifier", "islower",
       "isnumeric",    "isprintable", "isspace",   "istitle",    "isupper",      "join",
       "ljust",        "lower",       "lstrip",    "maketrans",  "partition",    "removeprefix",
       "removesuffix", "replace",     "rfind",     "rindex",     "rjust",        "rpartition",
       "rsplit",       "rstrip",      "split",     "splitlines", "startswith",   "strip",
       "swapcase",     "title",       "translate", "upper",      "zfill"});
}

Value object_attribute(Run& run, const Value& object, const std::string& name) {
  if (object.is_text()) return string_attribute(name);
  if (object.is_dict()) {
    return method_or_undefined(name, {"copy", "fromkeys", "get", "items", "keys", "values"});
  }
  if (object.is_list() && object.as_list().kind <= ListKind::kTuple) {
    return method_or_undefined(name, {"copy", "count", "index"});
  }
  if (object.is<std::shared_ptr<Namespace>>()) {
    const Value* found = object.get<std::shared_ptr<Namespace>>()->find(name);
    run.step();
    return found != nullptr ? *found : Value::undefined(name);
  }
  if (object.is<std::shared_ptr<LoopState>>()) {
    return loop_attribute(run, *object.get<std::shared_ptr<LoopState>>(), name);
  }
  if (object.is_number() &&
      is_one_of(name, {"real", "imag", "numerator", "denominator", "conjugate", "bit_length",
                       "bit_count", "is_integer", "as_integer_ratio", "to_bytes", "hex"})) {
    run.unsupported("the attribute '{}' of a {}", name, type_name(object));
  }
  if (object.is<std::shared_ptr<const Macro>>() || object.is<Builtin>() || object.is<Method>()) {
    run.unsupported("the attribute '{}' of a {}", name, type_name(object));
  }
  return Value::undefined(name);
}

void refuse_undefined(Run& run, const Value& object) {
  if (object.is_undefined()) run.error("'{}' is undefined", object.get<Undefined>().name);
}

int64_t slice_bound(Run& run, const Value& value, int64_t otherwise) {
  if (value.is_none()) return otherwise;
  if (!value.is_integer()) run.error("a slice takes integers, not {}", type_name(value));
  return value.as_integer();
}

// The positions that [start:stop:step] selects out of n, like Python's slice.indices.
std::vector<size_t> slice_positions(Run& run, size_t n, const Value& start, const Value& stop,
                                    const Value& step) {
  const int64_t size = static_cast<int64_t>(n);
  const int64_t stride = slice_bound(run, step, 1);
  if (stride == 0) run.error("the step of a slice is 0");
  const auto clamp = [&](int64_t at) {
    if (at < 0) at = std::max<int64_t>(at + size, stride < 0 ? -1 : 0);
    return std::min(at, stride < 0 ? size - 1 : size);
  };
  const int64_t begin =
      start.is_none() ? (stride < 0 ? size - 1 : 0) : clamp(slice_bound(run, start, 0));
  const int64_t end = stop.is_none() ? (stride < 0 ? -1 : size) : clamp(slice_bound(run, stop, 0));
  std::vector<size_t> positions;
  for (int64_t i = begin; stride < 0 ? i > end : i < end;) {
    positions.push_back(static_cast<size_t>(i));
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  return positions;
}

int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

Value integer_arithmetic(Run& run, std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    if (b < 0) {
      if (a == 0) run.error("0 to a negative power");
      return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
    }
    result = 1;
    const int64_t sign_or_unit = a >= -1 && a <= 1 ? b % 2 + 2 : b;  // enough for 0, 1 and -1
    for (int64_t i = 0; i < (b == 0 ? 0 : sign_or_unit) && !overflow; ++i) {
      overflow = __builtin_mul_overflow(result, a, &result);
    }
  } else {
    if (b == 0) run.error("division by zero");
    if (op == "/") return Value(static_cast<double>(a) / static_cast<double>(b));
    overflow = a == INT64_MIN && b == -1;
    if (!overflow) result = op == "//" ? floor_divide(a, b) : a - floor_divide(a, b) * b;
  }
  if (overflow) run.unsupported("an integer of more than 64 bits");
  return Value(result);
}

Value float_arithmetic(Run& run, std::string_view op, double a, double b) {
  if (op == "+") return Value(a + b);
  if (op == "-") return Value(a - b);
  if (op == "*") return Value(a * b);
  if (op == "**") {
    const double power = std::pow(a, b);
    if (std::isnan(power) || std::isinf(power))
      run.unsupported("a power that is not a finite number");
    return Value(power);
  }
  if (b == 0) run.error("division by zero");
  if (op == "/") return Value(a / b);
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (op == "%") return Value(rest == 0 ? std::copysign(0.0, b) : rest);
  const double whole = std::floor(quotient);
  return Value(quotient - whole > 0.5 ? whole + 1 : whole);
}

Value repeat(Run& run, const Value& sequence, int64_t times) {
  if (sequence.is_safe_text()) run.unsupported("repeating text behind 'safe'");
  const size_t n = times < 0 ? 0 : static_cast<size_t>(times);
  const size_t unit =
      sequence.is_text()
          ? sequence.as_text().size() + sequence.as_text().content().size() * sizeof(ByteRange)
          : sequence.as_list().items.size() * sizeof(Value);
  size_t total = 0;
  if (__builtin_mul_overflow(unit, n, &total)) total = SIZE_MAX / 4;
  run.allocate(std::min(total, SIZE_MAX / 4));
  if (sequence.is_text()) {
    JinjaText result;
    for (size_t i = 0; i < n && unit > 0; ++i) result.append(sequence.as_text());
    return run.text(std::move(result));
  }
  const List& list = sequence.as_list();
  std::vector<Value> items;
  for (size_t i = 0; i < n && unit > 0; ++i) {
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return run.list(std::move(items), list.kind);
}

bool is_sequence(const Value& value) {
  return value.is_text() || (value.is_list() && value.as_list().kind <= ListKind::kTuple);
}

}  // namespace

std::vector<const Value*> Arguments::bind(Run& run, std::string_view callee,
                                          std::initializer_list<std::string_view> parameters,
                                          size_t required) const {
  std::vector<const Value*> bound(parameters.size(), nullptr);
  if (positional.size() > parameters.size()) {
    run.error("'{}' takes at most {} arguments, not {}", callee, parameters.size(),
              positional.size());
  }
  for (size_t i = 0; i < positional.size(); ++i) bound[i] = &positional[i];
  for (const auto& [name, value] : keywords) {
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) run.error("'{}' takes no argument '{}'", callee, name);
    const auto index = static_cast<size_t>(found - parameters.begin());
    if (bound[index] != nullptr) run.error("'{}' is given '{}' twice", callee, name);
    bound[index] = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound[i] == nullptr) {
      run.error("'{}' needs its argument '{}'", callee, *(parameters.begin() + i));
    }
  }
  return bound;
}

int64_t integer_argument(Run& run, const Value* value, int64_t otherwise) {
  if (value == nullptr || value->is_none()) return otherwise;
  if (!value->is_integer()) run.error("an integer is expected, not {}", type_name(*value));
  return value->as_integer();
}

JinjaText text_argument(Run& run, const Value* value, std::string_view otherwise) {
  if (value == nullptr) return JinjaText(std::string(otherwise), false);
  if (!value->is_text()) run.error("a string is expected, not {}", type_name(*value));
  return value->as_text();
}

bool truth_argument(const Value* value, bool otherwise) {
  return value == nullptr ? otherwise : truth(*value);
}

Value get_attribute(Run& run, const Value& object, const std::string& name) {
  refuse_undefined(run, object);
  run.step();
  Value found = object_attribute(run, object, name);
  if (!object.is_dict() || !found.is_undefined()) return found;
  if (is_one_of(name, {"clear", "pop", "popitem", "setdefault", "update"})) return found;
  run.step(static_cast<int64_t>(object.as_dict().entries.size() / 16));
  const Value* entry = object.as_dict().find(name);
  return entry != nullptr ? *entry : found;
}

Value get_item(Run& run, const Value& object, const Value& key) {
  refuse_undefined(run, object);
  run.step();
  if (object.is_dict()) {
    if (key.is_dict() || key.is_list()) return Value::undefined("");
    const Value* found = lookup(run, object.as_dict(), key);
    if (found != nullptr) return *found;
  } else if (object.is_list() && key.is_integer()) {
    const List& list = object.as_list();
    if (list.kind == ListKind::kView) run.unsupported("an item of a range or a view");
    const auto n = static_cast<int64_t>(list.items.size());
    const int64_t index = key.as_integer() < 0 ? key.as_integer() + n : key.as_integer();
    if (list.kind == ListKind::kGenerator || index < 0 || index >= n) {
      return Value::undefined(std::to_string(key.as_integer()));
    }
    return list.items[static_cast<size_t>(index)];
  } else if (object.is_text() && key.is_integer()) {
    if (object.is_safe_text()) run.unsupported("a character of text behind 'safe'");
    const std::string& s = object.str();
    run.read(s.size());
    const auto offsets = character_offsets(s);
    const auto n = static_cast<int64_t>(offsets.size()) - 1;
    const int64_t index = key.as_integer() < 0 ? key.as_integer() + n : key.as_integer();
    if (index < 0 || index >= n) return Value::undefined(std::to_string(key.as_integer()));
    const auto at = static_cast<size_t>(index);
    return run.text(object.as_text().slice(offsets[at], offsets[at + 1]));
  }
  if (!key.is_text()) return Value::undefined(to_text(run, key).str());
  return object_attribute(run, object, key.str());
}

Value get_slice(Run& run, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  refuse_undefined(run, object);
  if (object.is_safe_text()) run.unsupported("a slice of text behind 'safe'");
  if (object.is_text()) {
    const JinjaText& text = object.as_text();
    run.allocate(text.size());
    const auto offsets = character_offsets(text.str());
    const auto positions = slice_positions(run, offsets.size() - 1, start, stop, step);
    if (positions.empty()) return run.text("", false);
    if (slice_bound(run, step, 1) == 1) {
      return run.text(text.slice(offsets[positions.front()], offsets[positions.back() + 1]));
    }
    JinjaText result;
    for (const size_t at : positions) {
      run.allocate(sizeof(ByteRange));
      result.append(text, offsets[at], offsets[at + 1]);
    }
    return run.text(std::move(result));
  }
  if (!object.is_list()) return Value::undefined("slice");
  const List& list = object.as_list();
  if (list.kind == ListKind::kView) run.unsupported("a slice of a range or a view");
  if (list.kind == ListKind::kGenerator) return Value::undefined("slice");
  run.allocate(list.items.size() * sizeof(size_t));
  std::vector<Value> items;
  for (const size_t at : slice_positions(run, list.items.size(), start, stop, step)) {
    items.push_back(list.items[at]);
  }
  return run.list(std::move(items), list.kind);
}

Value add_texts(Run& run, const JinjaText& a, const JinjaText& b) {
  run.allocate(a.size() + b.size());
  JinjaText sum;
  if (a.is_safe() || b.is_safe()) {
    sum.append(a.is_safe() ? a : escape(run, a));
    sum.append(b.is_safe() ? b : escape(run, b));
    sum.set_safe();
  } else {
    sum.append(a);
    sum.append(b);
  }
  return run.text(std::move(sum));
}

Value arithmetic(Run& run, std::string_view op, const Value& a, const Value& b) {
  refuse_undefined(run, a);
  refuse_undefined(run, b);
  if (a.is_integer() && b.is_integer()) {
    return integer_arithmetic(run, op, a.as_integer(), b.as_integer());
  }
  if (a.is_number() && b.is_number()) {
    return float_arithmetic(run, op, a.as_double(), b.as_double());
  }
  if (op == "+" && a.is_text() && b.is_text()) return add_texts(run, a.as_text(), b.as_text());
  if (op == "+" && a.is_list() && b.is_list() && is_sequence(a) &&
      a.as_list().kind == b.as_list().kind) {
    std::vector<Value> items = a.as_list().items;
    items.insert(items.end(), b.as_list().items.begin(), b.as_list().items.end());
    return run.list(std::move(items), a.as_list().kind);
  }
  if (op == "*" && is_sequence(a) && b.is_integer()) return repeat(run, a, b.as_integer());
  if (op == "*" && is_sequence(b) && a.is_integer()) return repeat(run, b, a.as_integer());
  if (op == "%" && a.is_text()) run.unsupported("formatting a string with %");
  run.error("{} {} {} is not possible", type_name(a), op, type_name(b));
}

}  // namespace tidal::jinja
