// tidal generate: one prompt in, streamed text or one JSON object out.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "base/fail.h"
#include "base/parallel.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/generation.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace tidal::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Flags {
  ModelFlags model;
  std::optional<std::string> prompt;
  std::string file;
  std::string tokens_file;
  bool chat = false;
  std::string system_prompt;
  std::string answer_prefix;
  std::string grammar_file;
};

// What the prompt is made of; every source is read once.
struct Prompt {
  std::string text;
  std::vector<int32_t> tokens;  // with --tokens
};

Prompt read_prompt(const Flags& flags) {
  Prompt prompt;
  if (!flags.tokens_file.empty()) {
    prompt.tokens = parse_tokens(read_text(flags.tokens_file), flags.tokens_file);
  }
  if (!flags.file.empty()) prompt.text = read_text(flags.file);
  prompt.text += flags.prompt.value_or("");
  return prompt;
}

std::vector<int32_t> prompt_tokens(const Flags& flags, const Prompt& prompt, const Engine& engine) {
  if (!flags.tokens_file.empty()) return prompt.tokens;
  if (!flags.chat) return engine.encode(prompt.text);
  std::vector<Message> messages;
  if (!flags.system_prompt.empty()) messages.push_back({"system", flags.system_prompt});
  messages.push_back({"user", prompt.text});
  return engine.encode_chat(messages, flags.answer_prefix);
}

// A token is at least a byte of its text, so this holds any prompt; memory is taken only where the
// cache is written.
int64_t cache_for(const Flags& flags, const Prompt& prompt) {
  if (flags.model.max_tokens < 0) return 0;  // the model's own
  const size_t most = prompt.tokens.size() + prompt.text.size() + flags.system_prompt.size() +
                      flags.answer_prefix.size();
  return static_cast<int64_t>(most) + kTemplateTokens + flags.model.max_tokens;
}

int generate(Flags& flags) {
  const bool from_text = flags.prompt.has_value() || !flags.file.empty();
  if (from_text != flags.tokens_file.empty()) {
    throw UsageError(
        "give the prompt with -p TEXT, -f FILE (both: file, then text) or --tokens FILE");
  }
  const Prompt prompt = read_prompt(flags);
  if (!flags.grammar_file.empty()) flags.model.grammar = read_text(flags.grammar_file);
  Request request = make_request(flags.model);

  const auto loading = Clock::now();
  EngineOptions options = flags.model.engine;
  options.model = model_path(options.model);
  options.threads = thread_count(options.threads);
  if (options.context_size == 0) options.context_size = cache_for(flags, prompt);
  Engine engine = load_engine(options);
  const double load_ms = std::chrono::duration<double, std::milli>(Clock::now() - loading).count();

  request.prompt = prompt_tokens(flags, prompt, engine);
  warn_beyond_training(engine, static_cast<int64_t>(request.prompt.size()) +
                                   std::max<int64_t>(0, request.max_tokens));
  spdlog::info("{} from {}: {} threads, cache of {} tokens, loaded in {:.0f} ms",
               engine.model_name(), options.model, options.threads, engine.context_size(), load_ms);
  catch_interrupts();
  const Completion completion = stream(engine, std::move(request), /*print=*/!flags.model.json);
  if (flags.model.json) {
    Json json = completion_json(engine, completion);
    json["timing"]["load_ms"] = load_ms;
    put_json(json);
  } else if (!completion.text.ends_with('\n')) {
    put("\n");
  }
  note("{}", closing_line(completion));
  spdlog::info("plan {}", completion.plan);
  if (completion.finish_reason == FinishReason::kError) {
    fail(ErrorCode::kExhausted, "{}", completion.error);
  }
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_generate(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("generate", "Complete a prompt");
  command->footer("Example: tidal generate -f book.txt -p 'Who is the narrator?' --chat -n 64");
  const std::string group = "Prompt";
  command->add_option("-p,--prompt", flags->prompt, "The prompt")->group(group);
  command
      ->add_option("-f,--file", flags->file, "Prompt from a file, - for stdin; -p comes after it")
      ->group(group);
  command->add_option("--tokens", flags->tokens_file, "Prompt as token ids, a JSON file")
      ->group(group);
  command->add_flag("--chat", flags->chat, "Wrap the prompt in the model's chat template")
      ->group(group);
  command->add_option("--system-prompt", flags->system_prompt, "System message (short: -sys)")
      ->group(group)
      ->needs("--chat");
  command
      ->add_option("--answer-prefix", flags->answer_prefix,
                   "Begin the assistant's answer with this")
      ->group(group)
      ->needs("--chat");
  add_options(*command, OptionGroup::kGeneration, flags->model);
  command->add_option("--grammar-file", flags->grammar_file, "As --grammar, from a file")
      ->group("Generation")
      ->excludes("--grammar")
      ->excludes("--json-schema");
  add_options(*command, OptionGroup::kAttention, flags->model);
  add_options(*command, OptionGroup::kDrafting, flags->model);
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return generate(*flags); }; });
}

}  // namespace tidal::cli
