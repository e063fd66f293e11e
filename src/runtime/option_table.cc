#include "runtime/option_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "attention/layer_plan.h"
#include "attention/registry.h"
#include "base/fail.h"
#include "ops/factory/backend_factory.h"

namespace tidal {
namespace {

constexpr auto kModel = OptionGroup::kModel;
constexpr auto kAttention = OptionGroup::kAttention;
constexpr auto kGeneration = OptionGroup::kGeneration;

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

Option option(const Row& row, OptionType type, std::string range) {
  Option result;
  result.name = row.name;
  result.flags = row.flags;
  result.group = row.group;
  result.type = type;
  result.range = std::move(range);
  result.help = row.help;
  result.default_text = row.default_text;
  return result;
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
std::string spoken(std::string name) {
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

template <typename Field>
Option texts(const Row& row, Field field) {
  Option result = option(row, OptionType::kTexts, "any text");
  result.value = [](const Options&) { return std::string(); };
  result.complaint = [](std::string_view) { return std::string(); };
  result.assign = [field](Options& options, std::string_view value) {
    field(options).emplace_back(value);
  };
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

bool is_budget(std::string_view text) {
  try {
    parse_budget(std::string(text));
    return true;
  } catch (const Error&) {
    return false;
  }
}

// A member of Options, named for a row: parentheses around it would not compile.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define TIDAL_MEMBER(path) \
  [](Options & o) -> auto& { return o.path; }
// NOLINTEND(bugprone-macro-parentheses)

// More tokens than any cache holds, and small enough to be added and multiplied.
constexpr auto kMost = std::numeric_limits<int32_t>::max();
constexpr uint64_t kMostSeed = std::numeric_limits<int64_t>::max();

std::vector<Option> model_rows() {
  const std::vector<std::string> cache_types{"f16", "bf16", "f32", "q8_0"};
  const auto above_0 = [](double value) { return value > 0; };
  return {
      text({"model", "-m,--model", kModel, "GGUF file or Hugging Face folder",
            "none; on the command line, the model of scripts/get-model"},
           "a path", TIDAL_MEMBER(engine.model)),
      integer({"context_size", "-c,--ctx-size", kModel,
               "Cache capacity in tokens, all sequences together",
               "what the model was made for; on the command line, what prompt and answer need"},
              1, kMost, TIDAL_MEMBER(engine.context_size)),
      integer(
          {"threads", "-t,--threads", kModel, "Threads", "the physical cores this process may use"},
          1, 4096, TIDAL_MEMBER(engine.threads)),
      choice({"k_cache_type", "--cache-type-k", kModel, "Type of cached K (short: -ctk)"},
             cache_types, TIDAL_MEMBER(engine.k_cache_type)),
      choice({"v_cache_type", "--cache-type-v", kModel, "Type of cached V (short: -ctv)"},
             cache_types, TIDAL_MEMBER(engine.v_cache_type)),
      choice({"backend", "--backend", kModel, "What computes"}, backend_names(),
             TIDAL_MEMBER(engine.backend)),
      integer({"max_sequences", "", kModel, "Requests decoded at the same time"}, 1, 1024,
              TIDAL_MEMBER(engine.max_sequences)),
      integer({"prefill_chunk", "", kModel, "Tokens of a prompt run in one step"}, 1, 65536,
              TIDAL_MEMBER(engine.prefill_chunk)),
      integer({"max_queue", "", kModel, "Requests that may wait, 0: any number"}, 0, kMost,
              TIDAL_MEMBER(engine.max_queue)),
      choice({"rope_scaling", "--rope-scaling", kModel, "How RoPE is stretched", "the model's"},
             {"none", "linear", "yarn"}, TIDAL_MEMBER(engine.rope.scaling)),
      number({"rope_scale", "--rope-scale", kModel, "Context extension factor", "the model's"},
             "a number above 0", above_0, TIDAL_MEMBER(engine.rope.scale)),
      number({"rope_freq_base", "--rope-freq-base", kModel, "RoPE base frequency", "the model's"},
             "a number above 0", above_0, TIDAL_MEMBER(engine.rope.freq_base)),
      integer({"yarn_original_context", "--yarn-orig-ctx", kModel,
               "YaRN: the context the model was trained at", "the model's"},
              1, kMost, TIDAL_MEMBER(engine.rope.yarn_original_context)),
  };
}

std::vector<Option> attention_rows() {
  return {
      choice({"method", "--method", kAttention, "Which rows of the cache decode steps read"},
             {method_names().begin(), method_names().end()}, TIDAL_MEMBER(method.name)),
      text({"plan", "--plan", kAttention,
            "Preset (paper, tidal), plan line (\"full:0-1 select:2,12 budget:512\") or plan file",
            "the method's own"},
           "a plan", TIDAL_MEMBER(method.plan)),
      text({"budget", "--budget", kAttention,
            "Rows a sparse layer reads, newest included: tokens (512) or a share (10%)",
            "the plan's"},
           "a number of tokens (512) or a share (10%)", TIDAL_MEMBER(method.budget), is_budget),
      integer({"min_context", "--min-context", kAttention, "Below this length everything is read",
               "where sparse starts to pay"},
              0, kMost, TIDAL_MEMBER(method.min_context)),
      integer({"correct_every", "--correct-every", kAttention,
               "KV cache correction stride in tokens, 0 = off", "the plan's"},
              0, kMost, TIDAL_MEMBER(method.correct_every)),
  };
}

std::vector<Option> generation_rows() {
  return {
      integer_where(
          {"max_tokens", "-n,--predict", kGeneration,
           "Tokens to generate at most, -1: until the cache is full"},
          "a whole number from 1 to 2147483647, or -1 for as many as fit",
          [](int64_t n) { return n == -1 || (n >= 1 && n <= kMost); }, TIDAL_MEMBER(max_tokens)),
      number(
          {"temperature", "--temp", kGeneration, "0: always the most likely token"}, "0 or more",
          [](double value) { return value >= 0; }, TIDAL_MEMBER(sampling.temperature)),
      integer({"top_k", "--top-k", kGeneration, "Keep this many of the most likely tokens, 0: all"},
              0, kMost, TIDAL_MEMBER(sampling.top_k)),
      number(
          {"top_p", "--top-p", kGeneration, "Keep the most likely tokens up to this probability"},
          "above 0 and at most 1", [](double p) { return p > 0 && p <= 1; },
          TIDAL_MEMBER(sampling.top_p)),
      number(
          {"min_p", "--min-p", kGeneration, "Drop tokens below this share of the best one"},
          "from 0 to 1", [](double p) { return p >= 0 && p <= 1; }, TIDAL_MEMBER(sampling.min_p)),
      integer({"seed", "-s,--seed", kGeneration, "Equal seeds give equal tokens"}, 0, kMostSeed,
              TIDAL_MEMBER(sampling.seed)),
      texts({"stop", "--stop", kGeneration, "End the text before this string; may be repeated",
             "none"},
            TIDAL_MEMBER(stop)),
      toggle({"ignore_eos", "--ignore-eos", kGeneration, "Do not stop at the end-of-text token"},
             TIDAL_MEMBER(ignore_eos)),
      toggle({"cache_prompt", "", kGeneration,
              "Reuse the cached rows of earlier prompts that began alike, and keep this one's"},
             TIDAL_MEMBER(cache_prompt)),
      text({"cache_salt", "", kGeneration, "Share cached rows only with requests of the same salt",
            "empty"},
           "any text", TIDAL_MEMBER(cache_salt)),
  };
}

#undef TIDAL_MEMBER

}  // namespace

std::string_view option_group_name(OptionGroup group) {
  switch (group) {
    case OptionGroup::kModel:
      return "Model";
    case OptionGroup::kAttention:
      return "Attention";
    case OptionGroup::kGeneration:
      return "Generation";
  }
  return "";
}

Request make_request(const Options& options) {
  Request request;
  request.max_tokens = options.max_tokens;
  request.ignore_eos = options.ignore_eos;
  request.cache_prompt = options.cache_prompt;
  request.cache_salt = options.cache_salt;
  request.stop = options.stop;
  request.sampling = options.sampling;
  request.attention = options.method;
  return request;
}

const std::vector<Option>& option_table() {
  static const std::vector<Option> table = [] {
    std::vector<Option> all;
    for (auto rows : {model_rows(), attention_rows(), generation_rows()}) {
      std::move(rows.begin(), rows.end(), std::back_inserter(all));
    }
    return all;
  }();
  return table;
}

const Option& find_option(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Option& option : option_table()) {
    if (option.name == name) return option;
    names.push_back(option.name);
  }
  throw Error(ErrorCode::kNotFound,
              fmt::format("unknown option '{}'; available: {}", name, fmt::join(names, ", ")),
              std::string(name));
}

void set_option(Options& options, std::string_view name, std::string_view value) {
  const Option& option = find_option(name);
  const std::string complaint = option.complaint(value);
  if (!complaint.empty()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("`{}`: {}", name, complaint), option.name);
  }
  option.assign(options, value);
}

std::string flag_name(const Option& option) {
  const size_t last = option.flags.rfind(',');
  if (option.flags.empty()) return option.name;
  return last == std::string::npos ? option.flags : option.flags.substr(last + 1);
}

std::string respell(std::string_view message,
                    const std::function<std::string(const Option&)>& spelling) {
  std::string result;
  while (true) {
    const size_t open = message.find('`');
    const size_t close = open == message.npos ? open : message.find('`', open + 1);
    if (close == message.npos) return result.append(message);
    const std::string_view name = message.substr(open + 1, close - open - 1);
    const auto found = std::ranges::find(option_table(), name, &Option::name);
    result.append(message.substr(0, open));
    result += found == option_table().end() ? fmt::format("`{}`", name) : spelling(*found);
    message.remove_prefix(close + 1);
  }
}

}  // namespace tidal
