// The options of an engine and its requests: one row each, from which flags, the C interface,
// Python's keywords and docs/options.md are made.
//
// Every value is text: a row says which values are valid and stores them where they belong.
// Messages of every layer write an option as `name`; respell() replaces that with a front end's
// spelling.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidal/engine.h"

namespace tidal {

struct Options {
  EngineOptions engine;
  MethodOptions method;
  SamplingOptions sampling;
  int64_t max_tokens = Request{}.max_tokens;
  int64_t min_tokens = Request{}.min_tokens;
  bool ignore_eos = false;
  std::vector<std::string> stop;
  // Instead of the default ones, from the first on; "none": no breakers.
  std::optional<std::vector<std::string>> dry_sequence_breakers;
  std::string grammar;      // rules as llama.cpp writes them; this
  std::string json_schema;  // or this
  bool cache_prompt = Request{}.cache_prompt;
  std::string cache_salt;
};

// A request as the options set it, without a prompt.
Request make_request(const Options& options);

enum class OptionGroup { kModel, kAttention, kDrafting, kGeneration };
std::string_view option_group_name(OptionGroup group);  // "Model", ...

enum class OptionType { kText, kTexts, kInteger, kNumber, kChoice, kSwitch };

struct Option {
  std::string name;   // as in tidal/options.h: context_size
  std::string flags;  // "-c,--ctx-size"; empty: not on the command line
  OptionGroup group;
  OptionType type;
  std::string range;         // valid values: "a whole number from 1 to 4096"
  std::string default_text;  // the value if nothing is given
  std::string help;
  // Why a value is invalid ("'x' is not ..."), or nothing.
  std::function<std::string(std::string_view value)> complaint;
  std::function<void(Options& options, std::string_view value)> assign;
  // The current value, as text; empty if none is set, and for lists.
  std::function<std::string(const Options& options)> value;
};

// In the order help and documents list them.
const std::vector<Option>& option_table();
// Throws Error(kNotFound) naming the unknown option.
const Option& find_option(std::string_view name);
// Throws Error naming the option and its valid values. For a list, appends the value.
void set_option(Options& options, std::string_view name, std::string_view value);

std::string flag_name(const Option& option);  // "--ctx-size", or its name if it has no flag

// The message with every option's `name` spelled by the function.
std::string respell(std::string_view message,
                    const std::function<std::string(const Option&)>& spelling);

}  // namespace tidal
