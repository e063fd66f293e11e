// Filters that return text or numbers.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "jinja/calls.h"
#include "jinja/text_ops.h"

namespace tidal::jinja {
namespace {

JinjaText soft_text(Run& run, const Value& value) { return to_text(run, value); }

Value filter_upper(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "upper");
  return run.text(change_case(run, soft_text(run, value), Case::kUpper));
}

Value filter_lower(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "lower");
  return run.text(change_case(run, soft_text(run, value), Case::kLower));
}

Value filter_capitalize(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "capitalize");
  return run.text(change_case(run, soft_text(run, value), Case::kCapitalize));
}

// Words here are separated by spaces, hyphens and opening brackets, unlike in str.title.
Value filter_title(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "title");
  const JinjaText text = soft_text(run, value);
  const std::string& s = text.str();
  run.read(s.size());
  const auto separates = [&](size_t at) {
    return std::string_view("-({[<").find(s[at]) != std::string_view::npos ||
           is_space(code_point_at(s, at));
  };
  JinjaText result;
  for (size_t at = 0; at < s.size();) {
    size_t end = at;
    const bool is_separator = separates(at);
    while (end < s.size() && separates(end) == is_separator) end += character_length(s, end);
    run.allocate(sizeof(ByteRange));
    const JinjaText part = text.slice(at, end);
    result.append(is_separator ? part : change_case(run, part, Case::kCapitalize));
    at = end;
  }
  return run.text(std::move(result));
}

Value filter_trim(Run& run, const Value& value, const Arguments& args) {
  const Value* characters = args.bind(run, "trim", {"chars"})[0];
  const bool has_characters = characters != nullptr && !characters->is_none();
  const JinjaText set = has_characters ? text_argument(run, characters, "") : JinjaText();
  return run.text(strip(run, soft_text(run, value), has_characters ? &set : nullptr, true, true));
}

Value filter_string(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "string");
  return run.text(soft_text(run, value));
}

Value filter_replace(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "replace", {"old", "new", "count"}, 2);
  return run.text(replace(run, soft_text(run, value), soft_text(run, *given[0]),
                          soft_text(run, *given[1]), integer_argument(run, given[2], -1)));
}

Value filter_indent(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "indent", {"width", "first", "blank"});
  JinjaText indent;
  if (given[0] != nullptr && given[0]->is_text()) {
    indent = given[0]->as_text();
  } else {
    const int64_t width = std::clamp<int64_t>(integer_argument(run, given[0], 4), 0, 1 << 20);
    run.allocate(static_cast<size_t>(width));
    indent = JinjaText(std::string(static_cast<size_t>(width), ' '), false);
  }
  const bool blank = truth_argument(given[2], false);
  JinjaText text = soft_text(run, value);
  text.append("\n", false);
  JinjaText result;
  bool is_first = true;
  for (const JinjaText& line : split_lines(run, text)) {
    run.allocate(indent.size() + line.size() + 2 * sizeof(ByteRange));
    if (!is_first) result.append("\n", false);
    const bool indents = is_first ? truth_argument(given[1], false) : blank || !line.empty();
    if (indents) result.append(indent);
    result.append(line);
    is_first = false;
  }
  return run.text(std::move(result));
}

Value filter_tojson(Run& run, const Value& value, const Arguments& args) {
  const auto given =
      args.bind(run, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = truth_argument(given[0], false);
  style.sort_keys = truth_argument(given[3], false);
  if (given[1] != nullptr && !given[1]->is_none()) {
    if (given[1]->is_text()) {
      style.indent = given[1]->as_text();
    } else {
      const int64_t width = std::clamp<int64_t>(integer_argument(run, given[1], 0), 0, 1024);
      style.indent = JinjaText(std::string(static_cast<size_t>(width), ' '), false);
    }
  }
  style.item_separator = JinjaText(style.indent ? "," : ", ", false);
  style.key_separator = JinjaText(": ", false);
  if (given[2] != nullptr && !given[2]->is_none()) {
    if (!given[2]->is_list() || given[2]->as_list().items.size() != 2) {
      run.error("the separators of tojson are a pair of strings");
    }
    style.item_separator = text_argument(run, &given[2]->as_list().items[0], "");
    style.key_separator = text_argument(run, &given[2]->as_list().items[1], "");
  }
  return run.text(to_json(run, value, style));
}

Value filter_safe(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "safe");
  JinjaText text = soft_text(run, value);
  text.set_safe();
  return run.text(std::move(text));
}

// A string as Python's float() reads it.
std::optional<double> parse_float(Run& run, const JinjaText& text) {
  const JinjaText stripped = strip(run, text, nullptr, true, true);
  std::string s = stripped.str();
  for (char& c : s) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const bool plus = s.starts_with('+');
  const bool minus = s.starts_with('-');
  if (plus || minus) s.erase(0, 1);
  if (s.find('_') != std::string::npos) run.unsupported("a number with underscores");
  double value = 0;
  if (s == "inf" || s == "infinity") {
    value = HUGE_VAL;
  } else if (s == "nan") {
    value = std::nan("");
  } else {
    if (s.empty() || !(s[0] == '.' || (s[0] >= '0' && s[0] <= '9'))) return std::nullopt;
    const auto result = std::from_chars(s.data(), s.data() + s.size(), value);
    if (result.ptr != s.data() + s.size()) return std::nullopt;
    if (result.ec == std::errc::result_out_of_range) value = std::strtod(s.c_str(), nullptr);
  }
  return minus ? -value : value;
}

std::optional<double> to_float(Run& run, const Value& value) {
  if (value.is_undefined()) run.error("'{}' is undefined", value.get<Undefined>().name);
  if (value.is_number()) return value.as_double();
  if (value.is_text()) return parse_float(run, value.as_text());
  return std::nullopt;
}

Value filter_float(Run& run, const Value& value, const Arguments& args) {
  const Value* otherwise = args.bind(run, "float", {"default"})[0];
  const std::optional<double> result = to_float(run, value);
  if (result) return Value(*result);
  return otherwise != nullptr ? *otherwise : Value(0.0);
}

Value filter_int(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "int", {"default", "base"});
  if (integer_argument(run, given[1], 10) != 10) run.unsupported("the filter 'int' with a base");
  if (value.is_integer()) return Value(value.as_integer());
  if (value.is_text()) {
    const std::string s = strip(run, value.as_text(), nullptr, true, true).str();
    const char* begin = s.data() + (s.starts_with('+') && !s.starts_with("+-") ? 1 : 0);
    int64_t number = 0;
    const auto result = std::from_chars(begin, s.data() + s.size(), number);
    if (result.ptr == s.data() + s.size() && result.ptr != begin) {
      if (result.ec != std::errc()) run.unsupported("an integer of more than 64 bits");
      return Value(number);
    }
  }
  const std::optional<double> number = to_float(run, value);
  if (!number || !std::isfinite(*number)) {
    return given[0] != nullptr ? *given[0] : Value(int64_t{0});
  }
  if (std::abs(*number) >= 9.2e18) run.unsupported("an integer of more than 64 bits");
  return Value(static_cast<int64_t>(*number));
}

Value filter_abs(Run& run, const Value& value, const Arguments& args) {
  args.expect_none(run, "abs");
  if (value.is_integer()) {
    if (value.as_integer() == INT64_MIN) run.unsupported("an integer of more than 64 bits");
    return Value(std::abs(value.as_integer()));
  }
  if (!value.is_number()) run.error("abs takes a number, not {}", type_name(value));
  return Value(std::abs(value.as_double()));
}

Value filter_round(Run& run, const Value& value, const Arguments& args) {
  const auto given = args.bind(run, "round", {"precision", "method"});
  const int64_t precision = integer_argument(run, given[0], 0);
  const std::string method = text_argument(run, given[1], "common").str();
  if (!value.is_number()) run.error("round takes a number, not {}", type_name(value));
  if (precision < 0 || precision > 15) run.unsupported("rounding to {} digits", precision);
  const double number = value.as_double();
  if (method == "common") {
    if (value.is_integer()) return value;
    char buffer[400];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), number);
    return Value(std::strtod(buffer, nullptr));
  }
  if (method != "ceil" && method != "floor") run.error("unknown rounding method '{}'", method);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  return Value((method == "ceil" ? std::ceil(number * scale) : std::floor(number * scale)) / scale);
}

}  // namespace

Filter find_text_filter(std::string_view name) {
  static constexpr std::pair<std::string_view, Filter> kFilters[] = {
      {"abs", filter_abs},         {"capitalize", filter_capitalize},
      {"float", filter_float},     {"indent", filter_indent},
      {"int", filter_int},         {"lower", filter_lower},
      {"replace", filter_replace}, {"round", filter_round},
      {"safe", filter_safe},       {"string", filter_string},
      {"title", filter_title},     {"tojson", filter_tojson},
      {"trim", filter_trim},       {"upper", filter_upper}};
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter;
  }
  return nullptr;
}

}  // namespace tidal::jinja
