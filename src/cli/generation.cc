#include "cli/generation.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/progress.h"
#include "cli/interrupt.h"
#include "eval/report.h"
#include "runtime/option_table.h"

namespace tidal::cli {

Engine load_engine(const EngineOptions& options) {
  const ProgressBar bar("loading the model");
  return Engine(options);
}

Completion stream(Engine& engine, Request request, bool print) {
  ProgressBar bar("reading the prompt", "tokens");
  ProgressBar generated("generating", "tokens");
  int64_t n_generated = 0;
  const int64_t request_tokens = request.max_tokens;
  std::optional<Completion> result;
  request.on_prefill = [&](int64_t done, int64_t total) {
    done < total ? bar.update(done, total) : bar.clear();
  };
  request.on_token = [&](const TokenEvent& event) {
    if (print) {
      put_text(event.text);
      flush_output();
    } else {
      generated.update(++n_generated, request_tokens);
    }
  };
  request.on_finish = [&](const Completion& completion) { result = completion; };
  const RequestId id = engine.submit(std::move(request));
  while (!result.has_value()) {
    if (interrupted() || output_error() != 0) engine.cancel(id);
    const bool worked = engine.step();
    TIDAL_CHECK(worked || result.has_value(), "a submitted request neither ran nor ended");
  }
  return *std::move(result);
}

void warn_beyond_training(const Engine& engine, int64_t n_tokens) {
  if (n_tokens <= engine.trained_context()) return;
  spdlog::warn(
      "{} tokens are more than the {} that {} was made for, its answers may be poor; "
      "--rope-scaling yarn stretches it",
      n_tokens, engine.trained_context(), engine.model_name());
}

Json completion_json(const Engine& engine, const Completion& completion) {
  const auto n_prompt = static_cast<double>(completion.prompt_tokens);
  const auto steps = static_cast<double>(completion.tokens.size()) - 1;
  Json json = {{"model", engine.model_name()},
               {"prompt_tokens", completion.prompt_tokens},
               {"completion_tokens", completion.tokens.size()},
               {"tokens", completion.tokens},
               {"text", completion.text},
               {"finish_reason", finish_reason_name(completion.finish_reason)},
               {"method", completion.method},
               {"plan", completion.plan},
               {"rows", rows_json(completion.rows)},
               {"corrections", completion.corrections},
               {"timing",
                {{"prefill_ms", completion.prefill_ms},
                 {"decode_ms", completion.decode_ms},
                 {"prefill_tok_s", per_second(n_prompt, completion.prefill_ms)},
                 {"decode_tok_s", per_second(std::max(0.0, steps), completion.decode_ms)}}}};
  if (const SpeculationReport& report = completion.speculation; report.on) {
    json["lossless"] = {{"drafted", report.drafted},
                        {"accepted", report.accepted},
                        {"gained", report.gained(completion.decode_ms)}};
  }
  if (!completion.error.empty()) json["error"] = respell(completion.error, flag_name);
  return json;
}

double per_second(double count, double ms) { return ms > 0 ? 1000 * count / ms : 0; }

std::string closing_line(const Completion& completion) {
  const auto steps = static_cast<double>(completion.tokens.size()) - 1;
  const auto tokens = [](int64_t n, const char* kind) {
    return fmt::format("{} {}{}", n, kind, n == 1 ? "" : "s");
  };
  std::string line =
      fmt::format("{} in {:.2f} s ({:.0f}/s), {}", tokens(completion.prompt_tokens, "prompt token"),
                  completion.prefill_ms / 1000,
                  per_second(static_cast<double>(completion.prompt_tokens), completion.prefill_ms),
                  tokens(static_cast<int64_t>(completion.tokens.size()), "token"));
  if (steps > 0) {
    line += fmt::format(" at {:.2f} ms ({:.1f}/s)", completion.decode_ms / steps,
                        per_second(steps, completion.decode_ms));
  }
  line += fmt::format("; {} {}", completion.method, rows_text(completion.rows));
  if (completion.method != "full" && completion.rows.total > 0 &&
      completion.rows.read == completion.rows.total) {
    line += " (full attention: the context is within the budget or below --min-context)";
  }
  if (const SpeculationReport& report = completion.speculation; report.on) {
    line += fmt::format("; lossless, {} of {} drafts were right", report.accepted, report.drafted);
    const double gained = report.gained(completion.decode_ms);
    if (gained > 0) line += fmt::format(", {:.2f} times as fast as full attention", gained);
  }
  if (completion.corrections > 0) line += fmt::format(", {} corrections", completion.corrections);
  return line;
}

}  // namespace tidal::cli
