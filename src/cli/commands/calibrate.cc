// tidal calibrate: finds the selecting layers of a model and writes them as a plan file.

#include "eval/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "attention/registry.h"
#include "base/fail.h"
#include "base/output_file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"

namespace tidal::cli {
namespace {

constexpr int64_t kDecoded = 96;  // tokens of each held-out text of prose

struct Flags {
  ModelFlags model;
  std::string file;
  std::string prompts;
  std::string output;
  std::string full;
  int32_t n_select = 5;
  int64_t context = 4096;
  int32_t candidates = 60;
  uint64_t seed = 1;
};

// A preset or the user's plan, with --full.
LayerPlan base_plan(const Flags& flags, const Config& config) {
  const MethodOptions& method = flags.model.method;
  const HeadCounts heads = {config.attention().n_heads, config.attention().n_kv_heads};
  LayerPlan plan =
      resolve_plan(method.plan.empty() ? "tidal" : method.plan, config.n_layers(), heads);
  if (!flags.full.empty()) {
    const LayerPlan layers = parse_plan_line("full:" + flags.full, config.n_layers());
    plan.layers = layers.layers;
  }
  if (method.correct_every >= 0) plan.correct_every = method.correct_every;
  validate(plan);
  const auto n_full = std::ssize(layers_with(plan, LayerRole::kFull));
  if (flags.n_select > config.n_layers() - n_full) {
    fail(ErrorCode::kInvalidArgument,
         "--select {} is more than the {} layers of {} that are not full: lower it or name fewer "
         "with --full",
         flags.n_select, config.n_layers() - n_full, config.n_layers());
  }
  if (flags.context > config.context_length) {
    fail(ErrorCode::kInvalidArgument,
         "--context {} is longer than the model's {}: lower it, or extend the model with "
         "--rope-scaling",
         flags.context, config.context_length);
  }
  return plan;
}

// The same at the budget it is compared at.
LayerPlan at_budget(LayerPlan plan, const Flags& flags) {
  const std::string& budget = flags.model.method.budget;
  if (!budget.empty()) plan.budget = parse_budget(budget);
  validate(plan);
  if (plan.budget_at(flags.context / 2) >= flags.context / 2) {
    fail(ErrorCode::kInvalidArgument,
         "--budget {} is at least half of --context {}, which leaves nothing to choose: lower the "
         "budget or raise the context",
         print_budget(plan.budget), flags.context);
  }
  return plan;
}

// Parts of the text spread evenly over it, none touching another.
std::vector<std::span<const TokenId>> cut(std::span<const TokenId> text,
                                          std::span<const int64_t> lengths) {
  int64_t needed = 0;
  for (const int64_t length : lengths) needed += length;
  const int64_t spare = std::ssize(text) - needed;
  if (spare < 0) {
    fail(ErrorCode::kInvalidArgument,
         "the text has {} tokens, calibrating takes {}: give more text or a smaller --context",
         text.size(), needed);
  }
  std::vector<std::span<const TokenId>> parts;
  int64_t first = 0;
  for (const int64_t length : lengths) {
    const auto gap = spare * std::ssize(parts) / std::max<int64_t>(std::ssize(lengths) - 1, 1);
    parts.push_back(text.subspan(static_cast<size_t>(first + gap), static_cast<size_t>(length)));
    first += length;
  }
  return parts;
}

CalibrationProbes make_probes(const Flags& flags, const Asker& asker,
                              std::span<const TokenId> text) {
  const int64_t prose = flags.context;
  const int64_t retrieval = flags.context / 2;
  CalibrationProbes probes;
  if (!flags.prompts.empty()) {
    std::vector<Probe> given = read_probes(asker, read_text(flags.prompts), flags.prompts);
    if (given.size() < 2) {
      fail(ErrorCode::kInvalidArgument,
           "{} holds {} prompts, give at least 2: one half is measured, the other held out",
           flags.prompts, given.size());
    }
    for (size_t i = 0; i < given.size(); ++i) {
      (i % 2 == 0 ? probes.retrieval : probes.held_out_retrieval).push_back(std::move(given[i]));
    }
    const auto parts = cut(text, std::vector<int64_t>{prose, prose, prose, prose});
    probes.prose = {prose_probe(parts[1], kDecoded)};
    probes.held_out_prose = {prose_probe(parts[0], kDecoded), prose_probe(parts[2], kDecoded),
                             prose_probe(parts[3], kDecoded)};
    return probes;
  }
  const auto parts = cut(text, std::vector<int64_t>{prose, retrieval, retrieval, prose, retrieval,
                                                    retrieval, prose, prose});
  const auto planted = [&](size_t part) {
    return retrieval_probe(asker, parts[part], flags.seed + part);
  };
  probes.held_out_prose = {prose_probe(parts[0], kDecoded), prose_probe(parts[6], kDecoded),
                           prose_probe(parts[7], kDecoded)};
  probes.prose = {prose_probe(parts[3], kDecoded)};
  probes.retrieval = {planted(1), planted(4)};
  probes.held_out_retrieval = {planted(2), planted(5)};
  return probes;
}

Json candidate_json(const Candidate& candidate) {
  return {{"select", candidate.select},
          {"kld", candidate.prose.divergence},
          {"kld_retrieval", candidate.retrieval.divergence},
          {"answers", candidate.retrieval.recovered},
          {"recovered_mass", candidate.mass_prose},
          {"recovered_mass_retrieval", candidate.mass_retrieval},
          {"rows_share", candidate.prose.rows.share()},
          {"score", candidate.score()}};
}

Json calibration_json(const Flags& flags, const Config& config, int64_t text_tokens,
                      const Calibration& found, const Budget& budget, size_t n_candidates) {
  const Candidate& best = found.candidates.front();
  Json json = {{"model", config.name},
               {"text", std::filesystem::path(flags.file).filename().string()},
               {"text_tokens", text_tokens},
               {"seed", flags.seed},
               {"context", flags.context},
               {"budget", print_budget(budget)},
               {"retrieval_budget", found.retrieval_budget},
               {"decoded_tokens", best.prose.tokens},
               {"retrieval_tokens", best.retrieval.tokens},
               {"questions", best.retrieval.answers},
               {"answers_full", found.full_retrieval.recovered},
               {"compared", found.candidates.size()},
               {"candidates", Json::array()}};
  if (!flags.prompts.empty()) {
    json["prompts"] = std::filesystem::path(flags.prompts).filename().string();
  }
  for (const Candidate& candidate : found.candidates) {
    if (json["candidates"].size() < n_candidates) {
      json["candidates"].push_back(candidate_json(candidate));
    }
  }
  return json;
}

void print_table(const Calibration& found) {
  constexpr size_t kShown = 5;
  const auto& candidates = found.candidates;
  put("{:<28} {:>9} {:>9} {:>9} {:>7}\n", "selecting layers", "KLD", "KLD retr.", "answers",
      "rows");
  for (size_t i = 0; i < std::min(kShown, candidates.size()); ++i) {
    const Candidate& candidate = candidates[i];
    put("{:<28} {:>9.4f} {:>9.4f} {:>9} {:>6.1f}%\n",
        fmt::format("{}", fmt::join(candidate.select, ",")), candidate.prose.divergence,
        candidate.retrieval.divergence,
        fmt::format("{}/{}", candidate.retrieval.recovered, candidate.retrieval.answers),
        100 * candidate.prose.rows.share());
  }
  put("full attention answers {}/{}\n", found.full_retrieval.recovered,
      found.full_retrieval.answers);
  put("{}\n", print_plan_line(found.plan));
}

int run_calibrate(const Flags& flags) {
  if (flags.file.empty()) throw UsageError("give the text with -f FILE");
  if (flags.output.empty()) throw UsageError("say where the plan goes with -o PLAN.json");
  OutputFile output(flags.output);
  const EngineOptions& options = flags.model.engine;
  const auto model = load_model(options);
  const Config& config = model->config();
  CalibrationOptions wanted;
  const LayerPlan base = base_plan(flags, config);
  wanted.plan = at_budget(base, flags);
  wanted.n_select = flags.n_select;
  wanted.max_candidates = flags.candidates;
  const Tokenizer tokenizer = load_tokenizer(*model);
  const auto chat_template = load_chat_template(*model, tokenizer);
  const std::vector<TokenId> text = tokenizer.encode(read_text(flags.file), false, false);
  const CalibrationProbes probes = make_probes(flags, {tokenizer, chat_template}, text);
  catch_interrupts();
  StageBar bar;
  const auto report = [&](std::string_view stage, int64_t done, int64_t total) {
    throw_if_interrupted();
    bar.update(stage, stage == "comparing" ? "plans" : "tokens", done, total);
  };
  Calibration found{wanted.plan, {}, {}, 0, RecoveredMass(0), RecoveredMass(0)};
  try {
    found = calibrate(model, options, probes, wanted, report);
  } catch (const Interrupted&) {
    bar.clear();
    note("interrupted, nothing is written");
    return kExitInterrupted;
  }
  bar.clear();
  found.plan.budget = base.budget;
  constexpr size_t kCandidatesKept = 5;
  const auto figures = [&](size_t n_candidates) {
    return calibration_json(flags, config, std::ssize(text), found, wanted.plan.budget,
                            n_candidates);
  };
  Json file = plan_to_json(found.plan, {config.attention().n_heads, config.attention().n_kv_heads});
  file["calibration"] = figures(kCandidatesKept);
  if (flags.model.json) {
    put_json({{"plan", print_plan_line(found.plan)},
              {"file", flags.output},
              {"calibration", figures(found.candidates.size())}});
  } else {
    print_table(found);
  }
  // Last: what was found is out already should this fail.
  output.write(file.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  output.commit();
  if (!flags.model.json) put("written to {}\n", flags.output);
  return kExitDone;
}

}  // namespace

void add_calibrate(CLI::App& app, Work& work) {
  CLI::App* command =
      app.add_subcommand("calibrate", "Find the layers that select, and write a plan file");
  command->footer("Example: tidal calibrate -f book.txt --select 5 -o plan.json");
  auto flags = std::make_shared<Flags>();
  const std::string group = "Calibration";
  command->add_option("-f,--file", flags->file, "Text to measure on, - for stdin")->group(group);
  command
      ->add_option(
          "--prompts", flags->prompts,
          "Your own retrieval prompts, JSON lines {\"prompt\", \"answer\"} (default: facts "
          "planted in the text)")
      ->group(group);
  command->add_option("--select", flags->n_select, "How many layers select")
      ->group(group)
      ->check(whole_number(1))
      ->capture_default_str();
  command
      ->add_option("--full", flags->full,
                   "Layers that read everything (0-1, or none; default: the plan's)")
      ->group(group);
  command
      ->add_option("--plan", flags->model.method.plan,
                   "What else the plan says: preset, plan line or file (default: tidal)")
      ->group(group);
  command
      ->add_option("--budget", flags->model.method.budget,
                   "Budget that plans are compared at (default: the plan's, which the file keeps)")
      ->group(group);
  command->add_option("--context", flags->context, "Tokens of each text of prose")
      ->group(group)
      ->check(whole_number(512))
      ->capture_default_str();
  command->add_option("--candidates", flags->candidates, "Compare at most this many plans")
      ->group(group)
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "Which facts are planted and where")
      ->group(group)
      ->check(seed_number())
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "The plan file to write")->group(group);
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return run_calibrate(*flags); }; });
}

}  // namespace tidal::cli
