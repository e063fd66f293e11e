#include "cli/eval_common.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/fail.h"
#include "base/progress.h"
#include "cli/interrupt.h"
#include "eval/model_sum.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"

namespace tidal::cli {

void add_text_flags(CLI::App& app, TextFlags& flags, bool several_files) {
  const std::string group = "Text";
  CLI::Option* files =
      app.add_option("-f,--file", flags.files,
                     several_files ? "Text, - for stdin; repeated: the average over all of them"
                                   : "Text to score, - for stdin")
          ->group(group)
          ->allow_extra_args(false);
  if (!several_files) files->expected(1);
  app.add_option("--tokens", flags.tokens_file, "Text as token ids, a JSON file")->group(group);
  app.add_option("--prefill", flags.n_prefill, "Tokens of dense prompt, not scored")
      ->group(group)
      ->check(whole_number(1))
      ->capture_default_str();
  app.add_option("--max-tokens", flags.max_tokens, "Use this many tokens of a text (default: all)")
      ->group(group)
      ->check(whole_number(1));
  app.add_option("--skip", flags.skip, "Begin this many tokens into a text")
      ->group(group)
      ->check(whole_number(0))
      ->capture_default_str();
}

std::vector<Text> read_texts(const TextFlags& flags, const Model& model) {
  if (flags.files.empty() == flags.tokens_file.empty()) {
    throw UsageError("give the text with -f FILE or with --tokens FILE");
  }
  std::vector<Text> texts;
  if (!flags.tokens_file.empty()) {
    const std::string text = read_text(flags.tokens_file);
    texts.push_back({flags.tokens_file, text_sum(text), parse_tokens(text, flags.tokens_file)});
  } else {
    const Tokenizer tokenizer = load_tokenizer(model);
    for (const std::string& file : flags.files) {
      const std::string text = read_text(file);
      texts.push_back({file, text_sum(text), tokenizer.encode(text, true, false)});
      std::vector<int32_t>& tokens = texts.back().tokens;
      const auto first = tokenizer.adds_bos() && !tokens.empty() ? 1 : 0;
      const int64_t skip = std::min(flags.skip, std::ssize(tokens) - first);
      tokens.erase(tokens.begin() + first, tokens.begin() + first + skip);
    }
  }
  for (Text& text : texts) {
    if (flags.max_tokens > 0 && std::ssize(text.tokens) < flags.max_tokens) {
      fail(ErrorCode::kInvalidArgument,
           "{}: the text has {} tokens{}, --max-tokens asks for {}: lower it or give more text",
           text.name, text.tokens.size(),
           flags.skip > 0 ? fmt::format(" after --skip {}", flags.skip) : "", flags.max_tokens);
    }
    if (flags.max_tokens > 0) text.tokens.resize(static_cast<size_t>(flags.max_tokens));
    for (const int32_t id : text.tokens) {
      if (id >= model.config().vocab_size) {
        fail(ErrorCode::kInvalidArgument, "{}: token {} is not in the vocabulary of {}", text.name,
             id, model.config().vocab_size);
      }
    }
  }
  return texts;
}

void check_lengths(const Text& text, int64_t n_prefill, int64_t context_size) {
  const int64_t n_tokens = std::ssize(text.tokens);
  if (n_tokens <= n_prefill) {
    fail(ErrorCode::kInvalidArgument,
         "{}: the text has {} tokens, --prefill takes {}: nothing is left to score, lower it",
         text.name, n_tokens, n_prefill);
  }
  if (context_size > 0 && context_size < n_tokens) {
    fail(ErrorCode::kExhausted,
         "{}: the text has {} tokens, --ctx-size holds {}: raise it or lower --max-tokens",
         text.name, n_tokens, context_size);
  }
}

void add_compare_flags(CLI::App& app, CompareFlags& flags) {
  add_compared_method_flags(app, flags.model, flags.wanted.methods, flags.wanted.plans,
                            flags.wanted.budgets);
  app.add_option("-o,--output", flags.output,
                 "Keep finished work here, JSON lines; a run with the same file goes on from it")
      ->group("Output");
  add_model_flags(app, flags.model);
}

std::vector<MethodCase> method_cases(const CompareFlags& flags, const Model& model) {
  return tidal::method_cases(flags.wanted, flags.model.method, model, flags.model.engine);
}

void run_experiment(Experiment& experiment, const std::string& label,
                    const Experiment::Measure& measure) {
  catch_interrupts();
  ProgressBar bar(label, "tokens");
  try {
    experiment.run(
        measure, [&](int64_t done, int64_t total) { bar.update(done, total); }, interrupted);
  } catch (const Interrupted&) {
    // What is done gets printed.
  }
}

Json model_json(const Model& model, const EngineOptions& options) {
  const Config& config = model.config();
  Json json = {{"model", config.name},
               {"model_sum", model_sum(model)},
               {"backend", options.backend},
               {"cache", {options.k_cache_type, options.v_cache_type}},
               {"rope_scaling", options.rope.scaling.value_or("")},
               {"rope_scale", options.rope.scale.value_or(0)}};
  if (options.rope.freq_base.has_value()) json["rope_freq_base"] = *options.rope.freq_base;
  if (options.rope.yarn_original_context.has_value()) {
    json["yarn_orig_ctx"] = *options.rope.yarn_original_context;
  }
  return json;
}

void warn_beyond_training(const Model& model, int64_t n_tokens) {
  const Config& config = model.config();
  if (n_tokens <= config.context_length) return;
  spdlog::warn(
      "{} tokens are more than the {} that {} was made for, its results may be poor; "
      "--rope-scaling yarn stretches it",
      n_tokens, config.context_length, config.name);
}

}  // namespace tidal::cli
