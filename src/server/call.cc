#include "server/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "base/json.h"
#include "base/quote.h"
#include "server/call_fields.h"

namespace tidal::server {
namespace {

// How other servers spell options.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kAliases{{
    {"max_completion_tokens", "max_tokens"},
    {"max_output_tokens", "max_tokens"},
    {"n_predict", "max_tokens"},
    {"repetition_penalty", "repeat_penalty"},
    {"typ_p", "typical_p"},
    {"stop_sequences", "stop"},
}};

std::string option_of(std::string_view field) {
  for (const auto& [alias, option] : kAliases) {
    if (alias == field) return std::string(option);
  }
  return std::string(field);
}

const Option* find_row(std::string_view name, OptionGroup group) {
  for (const Option& option : option_table()) {
    if (option.name == name && option.group == group) return &option;
  }
  return nullptr;
}

[[noreturn]] void refuse_value(std::string_view field, const Json& value,
                               std::string_view expected) {
  refuse(field,
         fmt::format("'{}' is {}, but has to be {}", field, quote(value.dump(), 60), expected));
}

// The value as the option's row reads it.
std::string text_for(const Option& option, const Json& value, std::string_view field) {
  const bool whole = value.is_number_float() && std::trunc(value.get<double>()) == value &&
                     std::abs(value.get<double>()) < 1e15;
  switch (option.type) {
    case OptionType::kInteger:
      if (value.is_number_integer()) return value.dump();
      if (whole) return fmt::format("{:.0f}", value.get<double>());
      break;
    case OptionType::kNumber:
      if (value.is_number_integer()) return value.dump();
      if (value.is_number()) return fmt::format("{}", value.get<double>());
      break;
    case OptionType::kSwitch:
      if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
      break;
    case OptionType::kText:
    case OptionType::kTexts:
    case OptionType::kChoice:
      if (value.is_string()) return value.get<std::string>();
      if (option.type == OptionType::kText && value.is_number_integer()) return value.dump();
      break;
  }
  refuse_value(field, value, option.range);
}

void set_field(Options& options, const Option& option, const Json& value, std::string_view field) {
  const std::string text = text_for(option, value, field);
  const std::string complaint = option.complaint(text);
  if (!complaint.empty()) refuse(field, fmt::format("'{}': {}", field, complaint));
  option.assign(options, text);
}

void set_texts(Options& options, const Option& option, const Json& value, std::string_view field) {
  constexpr size_t kMostTexts = 16;
  constexpr size_t kLongestText = 1024;
  const Json list = value.is_array() ? value : Json::array({value});
  if (list.size() > kMostTexts) {
    refuse(field, fmt::format("'{}' has {} entries, at most {} are allowed", field, list.size(),
                              kMostTexts));
  }
  for (const Json& text : list) {
    if (text_of(text, field).size() > kLongestText) {
      refuse(field, fmt::format("an entry of '{}' is longer than {} bytes", field, kLongestText));
    }
    if (!text.get_ref<const std::string&>().empty()) set_field(options, option, text, field);
  }
}

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 31 ^ device()) & std::numeric_limits<int64_t>::max();
}

// -1: any; other clients send any 64-bit number.
void set_seed(Options& options, const Json& value) {
  if (!value.is_number_integer()) refuse_value("seed", value, "a whole number");
  if (!value.is_number_unsigned() && value.get<int64_t>() == -1) {
    options.sampling.seed = random_seed();
    return;
  }
  options.sampling.seed = value.get<uint64_t>() & std::numeric_limits<int64_t>::max();
}

void set_generation_field(GenerateCall& call, const Option& option, const Json& value,
                          std::string_view field) {
  if (option.name == "seed") return set_seed(call.options, value);
  if (option.type == OptionType::kTexts) {
    return set_texts(call.options, option, value, field);
  }
  if (option.name == "max_tokens" && value == 0) {
    call.only_prompt = true;
    call.options.max_tokens = 1;
    return;
  }
  // What others take as "only the most likely".
  if (option.name == "top_p" && value == 0) return set_field(call.options, option, 1e-6, field);
  set_field(call.options, option, value, field);
}

void read_method(GenerateCall& call, const Json& value) {
  if (!value.is_object()) refuse_value("tidal", value, "an object");
  for (const auto& [name, member] : value.items()) {
    const Option* option = find_row(name, OptionGroup::kAttention);
    if (option == nullptr) option = find_row(name, OptionGroup::kDrafting);
    if (option == nullptr) {
      std::string known;
      for (const Option& row : option_table()) {
        if (row.group != OptionGroup::kAttention && row.group != OptionGroup::kDrafting) continue;
        known += (known.empty() ? "" : ", ") + row.name;
      }
      refuse("tidal." + name,
             fmt::format("'tidal' has no field {}; available: {}", quote(name, 60), known));
    }
    if (!member.is_null()) set_field(call.options, *option, member, "tidal." + name);
  }
}

void check_together(const GenerateCall& call) {
  if (call.best_of > 0 && call.best_of < call.n) {
    refuse("best_of",
           fmt::format("'best_of' is {}, but has to be at least 'n' ({})", call.best_of, call.n));
  }
  if (call.stream && call.best_of > call.n) {
    refuse("best_of", "'best_of' above 'n' cannot be streamed: the best is known at the end");
  }
}

}  // namespace

Json parse_body(std::string_view body) {
  if (body.empty()) return Json::object();
  Json parsed;
  try {
    parsed = parse_ordered_json(body, "the request body");
  } catch (const Error& error) {
    refuse({}, error.what());
  }
  if (!parsed.is_object()) refuse({}, "the request body is not a JSON object");
  return parsed;
}

int64_t integer_of(const Json& value, std::string_view field, int64_t least, int64_t most) {
  const auto good = [&](auto number) {
    return std::cmp_greater_equal(number, least) && std::cmp_less_equal(number, most);
  };
  if (value.is_number_unsigned() && good(value.get<uint64_t>())) return value.get<int64_t>();
  if (value.is_number_integer() && !value.is_number_unsigned() && good(value.get<int64_t>())) {
    return value.get<int64_t>();
  }
  refuse_value(field, value, fmt::format("a whole number from {} to {}", least, most));
}

bool boolean_of(const Json& value, std::string_view field) {
  if (!value.is_boolean()) refuse_value(field, value, "true or false");
  return value.get<bool>();
}

const std::string& text_of(const Json& value, std::string_view field) {
  if (!value.is_string()) refuse_value(field, value, "a text");
  return value.get_ref<const std::string&>();
}

bool is_known_field(std::string_view name) {
  return find_row(option_of(name), OptionGroup::kGeneration) != nullptr || find_field(name) ||
         is_ignored_field(name);
}

GenerateCall read_call(Dialect dialect, const Json& body, const Options& defaults) {
  GenerateCall call;
  call.dialect = dialect;
  call.options = defaults;
  if (!body.contains("seed") && defaults.sampling.seed == kAnySeed) {
    call.options.sampling.seed = random_seed();
  }
  for (const auto& [name, value] : body.items()) {
    if (value.is_null()) continue;
    if (name == "tidal") {
      read_method(call, value);
    } else if (const CallField* field = find_field(name)) {
      field->read(call, value);
    } else if (const Option* option = find_row(option_of(name), OptionGroup::kGeneration)) {
      set_generation_field(call, *option, value, name);
    }
  }
  check_together(call);
  return call;
}

}  // namespace tidal::server
