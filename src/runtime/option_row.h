// How rows of the option table are made: one function for each kind of value.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/option_table.h"

namespace tidal::option_rows {

template <typename T>
struct Plain {
  using Type = T;
};
template <typename T>
struct Plain<std::optional<T>> {
  using Type = T;
};

template <typename T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

// What all rows say. default_text: what is taken where the member's own default is no value.
struct Row {
  const char* name;
  const char* flags;
  OptionGroup group;
  const char* help;
  const char* default_text = "";
};

inline Option option(const Row& row, OptionType type, std::string range) {
  return {.name = row.name,
          .flags = row.flags,
          .group = row.group,
          .type = type,
          .range = std::move(range),
          .default_text = row.default_text,
          .help = row.help,
          .complaint = {},
          .assign = {},
          .value = {}};
}

// `field` gives the member of Options that holds the value.
template <typename Field>
using FieldType = typename Plain<std::remove_cvref_t<std::invoke_result_t<Field, Options&>>>::Type;

template <typename Field>
void give_value(Option& option, Field field) {
  option.value = [field, own_default = option.default_text.empty()](const Options& options) {
    Options copy = options;
    const auto& value = field(copy);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, FieldType<Field>>) {
      Options defaults;
      if (own_default || value != field(defaults)) return fmt::format("{}", value);
    } else if (value.has_value()) {
      return fmt::format("{}", *value);
    }
    return std::string();
  };
  if (option.default_text.empty()) option.default_text = option.value(Options{});
}

// T: what the text is parsed as.
template <typename T, typename Field>
Option number_option(Option result, Field field, std::function<bool(T)> good) {
  give_value(result, field);
  result.complaint = [good, range = result.range](std::string_view text) {
    const std::optional<T> value = parse<T>(text);
    return value.has_value() && good(*value) ? std::string()
                                             : fmt::format("'{}' is not {}", text, range);
  };
  result.assign = [field](Options& options, std::string_view text) {
    field(options) = static_cast<FieldType<Field>>(*parse<T>(text));
  };
  return result;
}

template <typename Field>
Option integer(const Row& row, FieldType<Field> least, FieldType<Field> most, Field field) {
  using T = FieldType<Field>;
  std::string range = fmt::format("a whole number from {} to {}", least, most);
  return number_option<T>(option(row, OptionType::kInteger, std::move(range)), field,
                          [least, most](T value) { return value >= least && value <= most; });
}

template <typename Field>
Option integer_where(const Row& row, const char* range, bool (*good)(FieldType<Field>),
                     Field field) {
  return number_option<FieldType<Field>>(option(row, OptionType::kInteger, range), field, good);
}

// Numbers that are good, also once they are rounded to a float.
template <typename Field>
Option number(const Row& row, const char* range, bool (*good)(double), Field field) {
  return number_option<double>(
      option(row, OptionType::kNumber, range), field, [good](double value) {
        const bool fits = std::abs(value) <= double{std::numeric_limits<float>::max()};
        return fits && good(value) && good(double{static_cast<float>(value)});
      });
}

template <typename Field>
Option text(
    const Row& row, const char* range, Field field,
    bool (*good)(std::string_view) = [](std::string_view) { return true; }) {
  Option result = option(row, OptionType::kText, range);
  give_value(result, field);
  result.complaint = [good, range](std::string_view value) {
    return good(value) ? std::string() : fmt::format("'{}' is not {}", value, range);
  };
  result.assign = [field](Options& options, std::string_view value) {
    field(options) = std::string(value);
  };
  return result;
}

// "k_cache_type" in a sentence.
inline std::string spoken(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

template <typename Field>
Option choice(const Row& row, std::vector<std::string> values, Field field) {
  Option result = option(row, OptionType::kChoice, fmt::format("{}", fmt::join(values, ", ")));
  give_value(result, field);
  result.complaint = [values, name = spoken(result.name),
                      range = result.range](std::string_view value) {
    return std::find(values.begin(), values.end(), value) != values.end()
               ? std::string()
               : fmt::format("unknown {} '{}'; available: {}", name, value, range);
  };
  result.assign = [field](Options& options, std::string_view value) {
    field(options) = std::string(value);
  };
  return result;
}

// `add` puts one more text in its place.
inline Option texts(
    const Row& row, const char* range, void (*add)(Options&, std::string_view),
    bool (*good)(std::string_view) = [](std::string_view) { return true; }) {
  Option result = option(row, OptionType::kTexts, range);
  result.value = [](const Options&) { return std::string(); };
  result.complaint = [good, range](std::string_view value) {
    return good(value) ? std::string() : fmt::format("'{}' is not {}", value, range);
  };
  result.assign = add;
  return result;
}

template <typename Field>
Option toggle(const Row& row, Field field) {
  Option result = option(row, OptionType::kSwitch, "true or false");
  give_value(result, field);
  result.complaint = [](std::string_view value) {
    return value == "true" || value == "false" ? std::string()
                                               : fmt::format("'{}' is not true or false", value);
  };
  result.assign = [field](Options& options, std::string_view value) {
    field(options) = value == "true";
  };
  return result;
}

// A member of Options, named for a row: parentheses around it would not compile.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define TIDAL_MEMBER(path) \
  [](Options & o) -> auto& { return o.path; }
// NOLINTEND(bugprone-macro-parentheses)

// More tokens than any cache holds, and small enough to be added and multiplied.
inline constexpr auto kMost = std::numeric_limits<int32_t>::max();

std::vector<Option> generation_rows();

}  // namespace tidal::option_rows
