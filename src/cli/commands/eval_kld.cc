// tidal eval kld: how far methods are from full attention on the same text, in one run.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/progress.h"
#include "cli/eval_common.h"
#include "cli/interrupt.h"
#include "eval/divergence.h"
#include "eval/report.h"
#include "runtime/model_options.h"

namespace tidal::cli {
namespace {

struct Flags {
  CompareFlags compare;
  TextFlags text;
};

// What one method gave on one text.
struct Measured {
  std::vector<TokenDivergence> tokens;
  RowsReport rows;
  int64_t corrections = 0;
};

Json measured_json(const Measured& measured) {
  Json kld = Json::array(), logprob = Json::array(), full = Json::array(), same = Json::array();
  for (const TokenDivergence& token : measured.tokens) {
    kld.push_back(token.kld);
    logprob.push_back(token.log_probability);
    full.push_back(token.log_probability_full);
    same.push_back(token.same_top ? 1 : 0);
  }
  return {{"kld", kld},
          {"logprob", logprob},
          {"logprob_full", full},
          {"same_top", same},
          {"rows", rows_json(measured.rows)},
          {"corrections", measured.corrections}};
}

Measured measured_from(const Json& line) {
  Measured measured;
  for (size_t i = 0; i < line.at("kld").size(); ++i) {
    measured.tokens.push_back(
        {line.at("kld").at(i).get<double>(), line.at("logprob").at(i).get<double>(),
         line.at("logprob_full").at(i).get<double>(), line.at("same_top").at(i).get<int>() != 0});
  }
  measured.rows = {line.at("rows").at("read").get<int64_t>(),
                   line.at("rows").at("total").get<int64_t>()};
  measured.corrections = line.at("corrections").get<int64_t>();
  return measured;
}

Json settings(const Flags& flags, const Model& model) {
  Json json = model_json(model, flags.compare.model.engine);
  json.update({{"eval", "kld"},
               {"prefill", flags.text.n_prefill},
               {"max_tokens", flags.text.max_tokens},
               {"skip", flags.text.skip},
               {"min_context", flags.compare.model.method.min_context}});
  return json;
}

std::vector<Experiment::Item> items_of(const std::vector<Text>& texts) {
  std::vector<Experiment::Item> items;
  for (const Text& text : texts) {
    items.push_back({{{"file", text.name}, {"file_sum", text.sum}}, std::ssize(text.tokens)});
  }
  return items;
}

// On Ctrl-C what was measured of the text, or Interrupted where that is nothing.
std::vector<Experiment::Result> measure(const Flags& flags,
                                        const std::shared_ptr<const Model>& model, const Text& text,
                                        Experiment::Methods methods, const Progress& progress) {
  const int64_t n_prefill = flags.text.n_prefill;
  const int64_t n_scored = std::ssize(text.tokens) - n_prefill;
  Branches branches(model, flags.compare.model.engine, static_cast<int32_t>(methods.size()) + 1,
                    n_prefill, n_scored);
  std::vector<Measured> measured(methods.size());
  const auto on_token = [&](int64_t, std::span<const TokenDivergence> divergences) {
    for (size_t i = 0; i < measured.size(); ++i) measured[i].tokens.push_back(divergences[i]);
    return !interrupted();
  };
  const auto on_progress = [&](int64_t done, int64_t total) {
    progress(done, total);
    if (done < n_prefill) throw_if_interrupted();
  };
  diverge(branches, methods, text.tokens, n_prefill, on_token, on_progress);
  std::vector<Experiment::Result> results;
  for (int32_t i = 0; i < std::ssize(measured); ++i) {
    Measured& one = measured[static_cast<size_t>(i)];
    one.rows = branches.rows(i);
    one.corrections = branches.corrections(i);
    results.push_back({measured_json(one), std::ssize(one.tokens) == n_scored});
  }
  return results;
}

// A case over all texts.
struct Row {
  Measured all;
  Json files = Json::array();
};

Row row_of(const Experiment& experiment, const std::vector<Text>& texts, size_t method_case) {
  Row row;
  for (size_t i = 0; i < texts.size(); ++i) {
    const Json* result = experiment.result(i, method_case);
    if (result == nullptr) continue;
    const Measured one = measured_from(*result);
    row.all.tokens.insert(row.all.tokens.end(), one.tokens.begin(), one.tokens.end());
    row.all.rows.read += one.rows.read;
    row.all.rows.total += one.rows.total;
    row.all.corrections += one.corrections;
    const DivergenceSummary summary = summarize(one.tokens);
    row.files.push_back({{"file", texts[i].name},
                         {"tokens", summary.tokens},
                         {"kld", summary.mean},
                         {"ppl", summary.perplexity},
                         {"ppl_full", summary.perplexity_full}});
  }
  return row;
}

Json row_json(const Flags& flags, const Model& model, const MethodCase& method, const Row& row) {
  const DivergenceSummary sum = summarize(row.all.tokens);
  Json json = model_json(model, flags.compare.model.engine);
  json.update(divergence_json(sum));
  json.update(method.json());
  json.update({{"rows", rows_json(row.all.rows)},
               {"corrections", row.all.corrections},
               {"prefill", flags.text.n_prefill},
               {"skip", flags.text.skip},
               {"files", row.files},
               {"seed", 0},
               {"complete", !interrupted()}});
  return json;
}

void print_row(const MethodCase& method, const Row& row) {
  const DivergenceSummary sum = summarize(row.all.tokens);
  const std::string budget = method.budget.empty() ? "" : " K " + method.budget;
  put("| {:24} | {:8.5f} | {:8.5f} | {:8.4f} | {:6.2f} % | {:8.4f} | {:9.4f} | {:4.1f} % |\n",
      method.label() + budget, sum.mean, sum.standard_error, sum.p99, 100 * sum.same_top,
      sum.perplexity, sum.perplexity_full, 100 * row.all.rows.share());
}

int eval_kld(const Flags& flags) {
  const EngineOptions& engine = flags.compare.model.engine;
  const bool json = flags.compare.model.json;
  const auto model = load_model(engine);
  std::vector<MethodCase> cases = method_cases(flags.compare, *model);
  const std::vector<Text> texts = read_texts(flags.text, *model);
  int64_t longest = 0;
  for (const Text& text : texts) {
    check_lengths(text, flags.text.n_prefill, engine.context_size);
    longest = std::max(longest, std::ssize(text.tokens));
  }
  require_cache_memory(model->config(), engine, longest, "lower --max-tokens");
  warn_beyond_training(*model, longest);
  Experiment experiment(std::move(cases), items_of(texts), flags.compare.output,
                        settings(flags, *model));
  run_experiment(experiment, "divergence",
                 [&](size_t item, Experiment::Methods methods, const Progress& progress) {
                   return measure(flags, model, texts[item], methods, progress);
                 });
  if (!json) {
    put("| {:24} | {:>8} | {:>8} | {:>8} | {:>8} | {:>8} | {:>9} | {:>6} |\n", "method", "KLD",
        "+-", "p99", "same top", "ppl", "full ppl", "rows");
    put("|---|--:|--:|--:|--:|--:|--:|--:|\n");
  }
  for (size_t i = 0; i < experiment.cases().size(); ++i) {
    const MethodCase& method = experiment.cases()[i];
    const Row row = row_of(experiment, texts, i);
    if (json) {
      put_json(row_json(flags, *model, method, row));
    } else {
      print_row(method, row);
    }
  }
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_eval_kld(CLI::App& eval, Work& work) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = eval.add_subcommand(
      "kld", "Divergence from full attention, of one method or many in one run");
  command->footer(
      "Example: tidal eval kld -f book.txt --prefill 3840 --max-tokens 4096 "
      "--methods tidal,quest,window --budgets 128,256");
  add_text_flags(*command, flags->text, /*several_files=*/true);
  add_compare_flags(*command, flags->compare);
  command->callback([flags, &work] { work = [flags] { return eval_kld(*flags); }; });
}

}  // namespace tidal::cli
