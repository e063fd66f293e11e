#include "server/call_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "base/json.h"
#include "server/json_members.h"

namespace tidal::server {
namespace {

constexpr int64_t kMostAnswers = 16;
constexpr int64_t kMostTopLogprobs = 20;
constexpr int64_t kMostProbs = 100;
constexpr size_t kMostBiases = 4096;
constexpr int64_t kMost = std::numeric_limits<int32_t>::max();

#define TIDAL_SWITCH(field, member)                                             \
  CallField {                                                                   \
    field, R"({"type":"boolean"})",                                             \
        [](GenerateCall& c, const Json& v) { c.member = boolean_of(v, field); } \
  }
#define TIDAL_INTEGER(field, schema, member, least, most)                                    \
  CallField {                                                                                \
    field, schema,                                                                           \
        [](GenerateCall& c, const Json& v) { c.member = integer_of(v, field, least, most); } \
  }

void read_logprobs(GenerateCall& call, const Json& value) {
  if (value.is_boolean()) {
    if (value.get<bool>()) call.logprobs = std::max<int64_t>(call.logprobs, 0);
    return;
  }
  if (call.dialect != Dialect::kCompletions)
    refuse("logprobs", "'logprobs' has to be true or false");
  call.logprobs = integer_of(value, "logprobs", 0, kMostTopLogprobs);
}

void read_top_logprobs(GenerateCall& call, const Json& value) {
  call.logprobs = integer_of(value, "top_logprobs", 0, kMostTopLogprobs);
}

void read_n_probs(GenerateCall& call, const Json& value) {
  const int64_t n = integer_of(value, "n_probs", 0, kMostProbs);
  if (n > 0) call.logprobs = n;
}

void read_stream_options(GenerateCall& call, const Json& value) {
  if (!value.is_object()) refuse("stream_options", "'stream_options' has to be an object");
  for (const auto& [name, member] : value.items()) {
    if (member.is_null()) continue;
    if (name == "include_usage") call.include_usage = boolean_of(member, "include_usage");
    if (name == "continuous_usage_stats") {
      call.continuous_usage = boolean_of(member, "continuous_usage_stats");
    }
  }
}

void read_stop_tokens(GenerateCall& call, const Json& value) {
  if (!value.is_array() || value.size() > 256) {
    refuse("stop_token_ids", "'stop_token_ids' has to be a list of at most 256 tokens");
  }
  for (const Json& token : value) {
    call.stop_tokens.push_back(static_cast<int32_t>(integer_of(token, "stop_token_ids", 0, kMost)));
  }
}

void read_response_fields(GenerateCall& call, const Json& value) {
  if (!value.is_array() || value.size() > 64) {
    refuse("response_fields", "'response_fields' has to be a list of at most 64 texts");
  }
  for (const Json& name : value) call.response_fields.push_back(text_of(name, "response_fields"));
}

float bias_of(const Json& value) {
  if (value.is_boolean() && !value.get<bool>()) return -std::numeric_limits<float>::infinity();
  if (!value.is_number()) refuse("logit_bias", "a bias in 'logit_bias' is a number, or false");
  return static_cast<float>(std::clamp(value.get<double>(), -1e6, 1e6));
}

// "123" is a token, other texts are all their tokens.
std::variant<std::string, int32_t> bias_token(const std::string& text) {
  int32_t token = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, token);
  if (error == std::errc() && stop == end && token >= 0) return token;
  return text;
}

void read_logit_bias(GenerateCall& call, const Json& value) {
  if (!value.is_structured() || value.size() > kMostBiases) {
    refuse("logit_bias", fmt::format("'logit_bias' has to be an object or a list of pairs, with at "
                                     "most {} entries",
                                     kMostBiases));
  }
  if (value.is_object()) {
    for (const auto& [token, bias] : value.items()) {
      call.logit_bias.push_back({bias_token(token), bias_of(bias)});
    }
    return;
  }
  for (const Json& pair : value) {
    if (!pair.is_array() || pair.size() != 2) {
      refuse("logit_bias", "an entry of 'logit_bias' has to be [token or text, bias]");
    }
    if (pair[0].is_string()) {
      call.logit_bias.push_back({pair[0].get<std::string>(), bias_of(pair[1])});
    } else {
      const auto token = static_cast<int32_t>(integer_of(pair[0], "logit_bias", 0, kMost));
      call.logit_bias.push_back({token, bias_of(pair[1])});
    }
  }
}

void set_grammar(GenerateCall& call, GrammarKind kind, std::string text, std::string_view field) {
  constexpr size_t kLongest = 256 << 10;
  if (text.size() > kLongest) {
    refuse(field,
           fmt::format("'{}' has {} bytes, at most {} are read", field, text.size(), kLongest));
  }
  call.grammar = {kind, std::move(text)};
}

// Older drafts call the schemas of a list's first entries "items" as well.
Json with_prefix_items(Json schema) {
  if (schema.is_array()) {
    for (Json& entry : schema) entry = with_prefix_items(std::move(entry));
  }
  if (!schema.is_object()) return schema;
  const auto items = schema.find("items");
  if (items != schema.end() && items->is_array() && !schema.contains("prefixItems")) {
    Json prefix = std::move(*items);
    schema.erase("items");
    schema["prefixItems"] = std::move(prefix);
  }
  for (auto& [name, member] : schema.items()) {
    const bool is_value = name == "const" || name == "enum" || name == "default";
    if (!is_value) member = with_prefix_items(std::move(member));
  }
  return schema;
}

void set_schema(GenerateCall& call, const Json& schema, std::string_view field) {
  if (!schema.is_object() && !schema.is_boolean()) {
    refuse(field, fmt::format("the schema in '{}' has to be an object", field));
  }
  set_grammar(call, GrammarKind::kJsonSchema, dump(with_prefix_items(schema)), field);
}

void read_response_format(GenerateCall& call, const Json& value) {
  const std::string type = text_member(value, "type");
  const Json& schema = member(value, "schema");
  if (type == "json_object" && schema.is_null()) {
    set_grammar(call, GrammarKind::kJsonObject, {}, "response_format");
  } else if (type == "json_object") {
    set_schema(call, schema, "response_format");
  } else if (type == "json_schema") {
    const Json& named = member(member(value, "json_schema"), "schema");
    set_schema(call, named.is_null() ? schema : named, "response_format");
  } else if (type != "text") {
    refuse("response_format", "'response_format' needs a type: text, json_object or json_schema");
  }
}

// As the Responses API and Anthropic's have it: {"format": {"type": "json_schema", "schema"}}.
void read_text_format(GenerateCall& call, const Json& value) {
  const Json& format = member(value, "format");
  if (!format.is_null()) read_response_format(call, format);
}

void read_json_schema(GenerateCall& call, const Json& value) {
  set_schema(call, value, "json_schema");
}

void read_grammar(GenerateCall& call, const Json& value) {
  if (text_of(value, "grammar").empty()) return;
  set_grammar(call, GrammarKind::kEbnf, text_of(value, "grammar"), "grammar");
}

void read_regex(GenerateCall& call, const Json& value) {
  set_grammar(call, GrammarKind::kRegex, text_of(value, "guided_regex"), "guided_regex");
}

void read_prompt_field(GenerateCall& call, const Json& value) {
  call.prompts = read_prompts(value, &call.several_prompts);
}

void read_suffix(GenerateCall&, const Json& value) {
  if (text_of(value, "suffix").empty()) return;
  refuse("suffix", "'suffix' is not supported: the model completes a text from its beginning");
}

constexpr const char* kResponseFormat = R"({"type":"object","required":["type"],"properties":{
    "type":{"enum":["text","json_object","json_schema"]},"json_schema":{"type":"object",
      "required":["schema"],"properties":{"schema":{"type":"object"}}}}})";
constexpr const char* kLogitBias = R"({"anyOf":[
    {"type":"object","additionalProperties":{"type":["number","boolean"]}},
    {"type":"array","items":{"type":"array","minItems":2,"maxItems":2}}]})";
constexpr const char* kAnswers = R"({"type":"integer","minimum":1,"maximum":16})";

const auto& rows() {
  static constexpr std::array kRows{
      CallField{"prompt", R"({})", read_prompt_field},
      TIDAL_INTEGER("n", kAnswers, n, 1, kMostAnswers),
      TIDAL_INTEGER("n_cmpl", kAnswers, n, 1, kMostAnswers),
      TIDAL_INTEGER("best_of", kAnswers, best_of, 1, kMostAnswers),
      CallField{"logprobs", R"({"type":["boolean","integer"]})", read_logprobs},
      CallField{"top_logprobs", R"({"type":"integer","minimum":0,"maximum":20})",
                read_top_logprobs},
      CallField{"n_probs", R"({"type":"integer","minimum":0,"maximum":100})", read_n_probs},
      CallField{"logit_bias", kLogitBias, read_logit_bias},
      CallField{"stream_options", R"({"type":"object"})", read_stream_options},
      CallField{"stop_token_ids", R"({"type":"array","items":{"type":"integer","minimum":0}})",
                read_stop_tokens},
      CallField{"response_fields", R"({"type":"array","items":{"type":"string"}})",
                read_response_fields},
      CallField{"response_format", kResponseFormat, read_response_format},
      CallField{"text", R"({"type":"object"})", read_text_format},
      CallField{"output_config", R"({"type":"object"})", read_text_format},
      CallField{"json_schema", R"({"type":["object","boolean"]})", read_json_schema},
      CallField{"guided_json", R"({"type":["object","boolean"]})", read_json_schema},
      CallField{"grammar", R"({"type":"string","maxLength":262144})", read_grammar},
      CallField{"guided_grammar", R"({"type":"string","maxLength":262144})", read_grammar},
      CallField{"guided_regex", R"({"type":"string","maxLength":262144})", read_regex},
      CallField{"suffix", R"({"type":"string","maxLength":0})", read_suffix},
      TIDAL_INTEGER("t_max_predict_ms", R"({"type":"integer"})", max_time_ms, -1, kMost),
      TIDAL_INTEGER("id_slot", R"({"type":"integer","minimum":-1})", slot, -1, 1023),
      TIDAL_SWITCH("stream", stream),
      TIDAL_SWITCH("echo", echo),
      TIDAL_SWITCH("timings_per_token", timings_per_token),
      TIDAL_SWITCH("return_progress", return_progress),
      TIDAL_SWITCH("return_tokens", return_tokens),
      TIDAL_SWITCH("post_sampling_probs", post_sampling_probs),
      TIDAL_SWITCH("verbose", verbose),
  };
  return kRows;
}

constexpr std::array<std::string_view, 42> kIgnored{
    "model",
    "messages",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "parallel_tool_calls",
    "chat_template_kwargs",
    "reasoning_effort",
    "reasoning_format",
    "add_generation_prompt",
    "continue_final_message",
    "system",
    "thinking",
    "input",
    "instructions",
    "reasoning",
    "include",
    "truncation",
    "previous_response_id",
    "background",
    "client_metadata",
    "conversation",
    "max_tool_calls",
    "prompt_cache_retention",
    "modalities",
    "prediction",
    "verbosity",
    "samplers",
    "min_keep",
    "n_keep",
    "n_discard",
    "speculative",
    "lora",
    "enable_thinking",
    "context_management",
};

#undef TIDAL_SWITCH
#undef TIDAL_INTEGER

}  // namespace

std::span<const CallField> call_fields() { return rows(); }

const CallField* find_field(std::string_view name) {
  const auto found = std::ranges::find(rows(), name, &CallField::name);
  return found == rows().end() ? nullptr : &*found;
}

bool is_ignored_field(std::string_view name) {
  return std::ranges::find(kIgnored, name) != kIgnored.end();
}

}  // namespace tidal::server
