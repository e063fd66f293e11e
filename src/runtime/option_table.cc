#include "runtime/option_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "attention/layer_plan.h"
#include "attention/registry.h"
#include "base/fail.h"
#include "ops/factory/backend_factory.h"
#include "runtime/option_row.h"

namespace tidal {
namespace {

using namespace option_rows;

constexpr auto kModel = OptionGroup::kModel;
constexpr auto kAttention = OptionGroup::kAttention;
constexpr auto kDrafting = OptionGroup::kDrafting;

bool is_budget(std::string_view text) {
  try {
    parse_budget(std::string(text));
    return true;
  } catch (const Error&) {
    return false;
  }
}
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
      text({"chat_template", "--chat-template", kModel,
            "How a conversation is written: chatml, llama3, command-r or a template in Jinja",
            "the model's; chatml where it brings none"},
           "a name or a template", TIDAL_MEMBER(engine.chat_template)),
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

std::vector<Option> drafting_rows() {
  return {
      toggle({"lossless", "--lossless", kDrafting,
              "The method drafts and full attention decides: exactly its tokens, sooner"},
             TIDAL_MEMBER(method.lossless)),
      integer(
          {"drafts", "--drafts", kDrafting, "With lossless: tokens drafted before each decision",
           "as many as pay, by measured times"},
          0, kMostDrafts, TIDAL_MEMBER(method.drafts)),
  };
}

}  // namespace

std::string_view option_group_name(OptionGroup group) {
  switch (group) {
    case OptionGroup::kModel:
      return "Model";
    case OptionGroup::kAttention:
      return "Attention";
    case OptionGroup::kDrafting:
      return "Drafting";
    case OptionGroup::kGeneration:
      return "Generation";
  }
  return "";
}

Request make_request(const Options& options) {
  Request request;
  request.max_tokens = options.max_tokens;
  request.min_tokens = options.min_tokens;
  request.ignore_eos = options.ignore_eos;
  request.cache_prompt = options.cache_prompt;
  request.cache_salt = options.cache_salt;
  request.stop = options.stop;
  request.sampling = options.sampling;
  if (!options.grammar.empty() && !options.json_schema.empty()) {
    fail_option("grammar", ErrorCode::kInvalidArgument,
                "`grammar` and `json_schema` are both given, give one");
  }
  if (!options.grammar.empty()) request.grammar = {GrammarKind::kEbnf, options.grammar};
  if (!options.json_schema.empty()) {
    request.grammar = {GrammarKind::kJsonSchema, options.json_schema};
  }
  if (options.dry_sequence_breakers.has_value()) {
    request.sampling.dry_sequence_breakers = *options.dry_sequence_breakers;
  }
  request.attention = options.method;
  return request;
}

const std::vector<Option>& option_table() {
  static const std::vector<Option> table = [] {
    std::vector<Option> all;
    for (auto rows : {model_rows(), attention_rows(), drafting_rows(), generation_rows()}) {
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
