// tidal eval: what a method costs in quality.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/fail.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "engine/model_options.h"
#include "engine/text_model.h"
#include "eval/perplexity.h"

namespace tidal::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string file;
  std::string tokens_file;
  int64_t n_prefill = 1;
  int64_t max_tokens = 0;
  std::string per_token;
};

struct PromptInterrupted {};

std::vector<int32_t> input_tokens(const Flags& flags, const Model& model) {
  if (flags.file.empty() == flags.tokens_file.empty()) {
    throw UsageError("give the text with -f FILE or with --tokens FILE");
  }
  std::vector<int32_t> tokens =
      flags.tokens_file.empty() ? load_tokenizer(model).encode(read_text(flags.file), true, false)
                                : read_tokens(flags.tokens_file);
  if (flags.max_tokens > 0) {
    if (tokens.size() < static_cast<size_t>(flags.max_tokens)) {
      fail(ErrorCode::kInvalidArgument,
           "the text has {} tokens, --max-tokens asks for {}: lower it or give more text",
           tokens.size(), flags.max_tokens);
    }
    tokens.resize(static_cast<size_t>(flags.max_tokens));
  }
  if (static_cast<int64_t>(tokens.size()) <= flags.n_prefill) {
    fail(ErrorCode::kInvalidArgument,
         "the text has {} tokens, --prefill takes {}: nothing is left to score, lower it",
         tokens.size(), flags.n_prefill);
  }
  return tokens;
}

int eval_perplexity(const Flags& flags) {
  const EngineOptions& options = flags.model.engine;
  const auto model = Model::load(model_path(options.model), rope_override(options.rope));
  const std::vector<int32_t> tokens = input_tokens(flags, *model);
  const auto capacity = static_cast<int64_t>(tokens.size());
  if (options.context_size > 0 && options.context_size < capacity) {
    fail(ErrorCode::kExhausted,
         "the text has {} tokens, --ctx-size holds {}: raise it or lower --max-tokens", capacity,
         options.context_size);
  }
  Session session(model, options, flags.model.method, capacity);
  for (const int32_t id : tokens) {
    if (id >= model->config().vocab_size) {
      fail(ErrorCode::kInvalidArgument, "token {} is not in the vocabulary of {}", id,
           model->config().vocab_size);
    }
  }
  std::ofstream per_token;
  if (!flags.per_token.empty()) {
    per_token.open(flags.per_token);
    if (!per_token)
      fail(ErrorCode::kIo, "cannot write {}: {}", flags.per_token, std::strerror(errno));
  }
  spdlog::info("plan {}", session.method().plan_line());
  catch_interrupts();
  ProgressBar bar("perplexity", "tokens");
  const auto on_token = [&](const TokenScore& score) {
    if (per_token.is_open()) {
      per_token << dump({{"pos", score.position},
                         {"id", score.id},
                         {"logprob", score.log_probability}})
                << '\n';
    }
    return !interrupted();
  };
  const auto on_progress = [&](int64_t done, int64_t total) {
    bar.update(done, total);
    if (done < flags.n_prefill && interrupted()) throw PromptInterrupted();
  };
  PerplexityResult result;
  try {
    result = perplexity(session, tokens, flags.n_prefill, on_token, on_progress);
  } catch (const PromptInterrupted&) {
    // Nothing was scored: that is what gets printed.
  }
  bar.clear();
  if (per_token.is_open() && !per_token.flush()) {
    fail(ErrorCode::kIo, "cannot write {}: is the disk full?", flags.per_token);
  }
  const Json json = {{"model", model->config().name},
                     {"tokens", result.tokens},
                     {"nll", result.nll},
                     {"ppl", result.perplexity},
                     {"ppl_stderr", result.standard_error},
                     {"prefill", flags.n_prefill},
                     {"method", session.method().name()},
                     {"plan", session.method().plan_line()},
                     {"rows", rows_json(session.rows())},
                     {"corrections", session.corrections()},
                     {"complete", !interrupted()}};
  if (flags.model.json) {
    fmt::print("{}\n", dump(json));
  } else {
    fmt::print("perplexity {:.4f} +- {:.4f} over {} tokens\n", result.perplexity,
               result.standard_error, result.tokens);
  }
  fmt::print(stderr, "{} {}\n", session.method().name(), rows_text(session.rows()));
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_eval(CLI::App& app, Work& work) {
  CLI::App* eval = app.add_subcommand("eval", "Measure what a method costs in quality");
  eval->require_subcommand(1);
  eval->footer("Example: tidal eval ppl -f book.txt --max-tokens 4096 --prefill 2048");
  auto flags = std::make_shared<Flags>();
  CLI::App* command = eval->add_subcommand(
      "ppl", "Perplexity: a dense prompt, then one token at a time by the method");
  command->footer("Example: tidal eval ppl -f book.txt --max-tokens 4096 --prefill 2048");
  const std::string group = "Text";
  command->add_option("-f,--file", flags->file, "Text to score, - for stdin")->group(group);
  command->add_option("--tokens", flags->tokens_file, "Text as token ids, a JSON file")
      ->group(group);
  command->add_option("--prefill", flags->n_prefill, "Tokens of dense prompt, not scored")
      ->group(group)
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("--max-tokens", flags->max_tokens, "Use this many tokens (default: all)")
      ->group(group)
      ->check(whole_number(1));
  command->add_option("--per-token", flags->per_token, "Write every score here, JSON lines")
      ->group(group);
  add_method_flags(*command, flags->model);
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return eval_perplexity(*flags); }; });
}

}  // namespace tidal::cli
