// tidal eval ppl: perplexity of a text by one method.

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <optional>
#include <string>

#include "base/output_file.h"
#include "base/progress.h"
#include "cli/eval_common.h"
#include "cli/interrupt.h"
#include "eval/perplexity.h"
#include "eval/report.h"
#include "runtime/model_options.h"

namespace tidal::cli {
namespace {

struct Flags {
  ModelFlags model;
  TextFlags text;
  std::string per_token;
};

int eval_perplexity(const Flags& flags) {
  const EngineOptions& options = flags.model.engine;
  std::optional<OutputFile> per_token;
  if (!flags.per_token.empty()) per_token.emplace(flags.per_token);
  const auto model = load_model(options);
  const Text text = read_texts(flags.text, *model).front();
  check_lengths(text, flags.text.n_prefill, options.context_size);
  require_cache_memory(model->config(), options, std::ssize(text.tokens), "lower --max-tokens");
  warn_beyond_training(*model, std::ssize(text.tokens));
  Session session(model, options, flags.model.method, std::ssize(text.tokens));
  spdlog::info("plan {}", session.method().plan_line());
  catch_interrupts();
  ProgressBar bar("perplexity", "tokens");
  std::string scores;  // lines of --per-token
  const auto on_token = [&](const TokenScore& score) {
    if (per_token.has_value()) {
      scores +=
          dump({{"pos", score.position}, {"id", score.id}, {"logprob", score.log_probability}});
      scores += '\n';
    }
    return !interrupted();
  };
  const auto on_progress = [&](int64_t done, int64_t total) {
    bar.update(done, total);
    if (done < flags.text.n_prefill) throw_if_interrupted();
  };
  const auto score = [&] {
    try {
      return perplexity(session, text.tokens, flags.text.n_prefill, on_token, on_progress);
    } catch (const Interrupted&) {
      return PerplexityResult{};  // nothing was scored: that is what gets printed
    }
  };
  const PerplexityResult result = score();
  bar.clear();
  Json json = model_json(*model, options);
  json.update({{"tokens", result.tokens},
               {"nll", result.nll},
               {"ppl", result.perplexity},
               {"ppl_stderr", result.standard_error},
               {"prefill", flags.text.n_prefill},
               {"skip", flags.text.skip},
               {"method", session.method().name()},
               {"plan", session.method().plan_line()},
               {"rows", rows_json(session.rows())},
               {"corrections", session.corrections()},
               {"seed", 0},
               {"complete", !interrupted()}});
  if (flags.model.json) {
    put_json(json);
  } else {
    put("perplexity {:.4f} +- {:.4f} over {} tokens\n", result.perplexity, result.standard_error,
        result.tokens);
  }
  note("{} {}", session.method().name(), rows_text(session.rows()));
  if (per_token.has_value()) {  // last: what was found is out already should this fail
    per_token->write(scores);
    per_token->commit();
  }
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_eval_ppl(CLI::App& eval, Work& work) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = eval.add_subcommand(
      "ppl", "Perplexity: a dense prompt, then one token at a time by the method");
  command->footer("Example: tidal eval ppl -f book.txt --max-tokens 4096 --prefill 2048");
  add_text_flags(*command, flags->text, /*several_files=*/false);
  command->add_option("--per-token", flags->per_token, "Write every score here, JSON lines")
      ->group("Text");
  add_options(*command, OptionGroup::kAttention, flags->model);
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return eval_perplexity(*flags); }; });
}

}  // namespace tidal::cli
