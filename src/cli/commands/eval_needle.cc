// tidal eval needle: who still finds what a long prompt hides, by method, budget, length and depth.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/fail.h"
#include "base/progress.h"
#include "cli/eval_common.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "eval/model_sum.h"
#include "eval/needle.h"
#include "eval/report.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"

namespace tidal::cli {
namespace {

struct Flags {
  CompareFlags compare;
  std::vector<std::string> files;
  std::string kind = "passkey";
  std::vector<int64_t> lengths = {1024, 2048, 4096};
  int64_t n_depths = 10;
  int64_t n_prompts = 1;
  uint64_t seed = 1;
};

struct Place {
  int64_t length;
  int64_t depth;   // index
  int64_t prompt;  // index
};

std::vector<Place> places_of(const Flags& flags) {
  std::vector<Place> places;
  for (const int64_t length : flags.lengths) {
    for (int64_t depth = 0; depth < flags.n_depths; ++depth) {
      for (int64_t i = 0; i < flags.n_prompts; ++i) places.push_back({length, depth, i});
    }
  }
  return places;
}

std::vector<Experiment::Item> items_of(const std::vector<Place>& places) {
  std::vector<Experiment::Item> items;
  for (const Place& place : places) {
    items.push_back({{{"length", place.length}, {"depth", place.depth}, {"prompt", place.prompt}},
                     place.length});
  }
  return items;
}

double depth_of(const Flags& flags, int64_t depth) {
  return flags.n_depths == 1 ? 0.5
                             : static_cast<double>(depth) / static_cast<double>(flags.n_depths - 1);
}

NeedlePrompts make_prompts(std::span<const std::string> texts, const Model& model) {
  const Tokenizer tokenizer = load_tokenizer(model);
  std::vector<std::vector<int32_t>> books;
  for (const std::string& text : texts) books.push_back(tokenizer.encode(text, false, false));
  return {tokenizer, load_chat_template(model, tokenizer), std::move(books)};
}

NeedlePrompt make_prompt(const Flags& flags, const NeedlePrompts& prompts, const Place& place) {
  const auto mixed =
      static_cast<uint64_t>((place.length * 1000 + place.depth) * 100000 + place.prompt);
  return prompts.make(needle_kind(flags.kind), place.length, depth_of(flags, place.depth),
                      flags.seed * 0x9e3779b97f4a7c15u + mixed);
}

void check_fits(const Flags& flags, const NeedlePrompts& prompts, const Model& model) {
  int64_t longest = 0;
  for (const int64_t length : flags.lengths) {
    const int64_t needed = length + make_prompt(flags, prompts, {length, 0, 0}).answer_tokens;
    const int64_t capacity = flags.compare.model.engine.context_size;
    if (capacity > 0 && needed > capacity) {
      fail(ErrorCode::kExhausted,
           "a prompt of {} tokens and its answer take {}, --ctx-size holds {}: raise it or lower "
           "--lengths",
           length, needed, capacity);
    }
    longest = std::max(longest, needed);
  }
  warn_beyond_training(model, longest);
}

Json settings(const Flags& flags, std::span<const std::string> texts, const Model& model) {
  Json sums = Json::array();
  for (const std::string& text : texts) sums.push_back(text_sum(text));
  Json json = model_json(model, flags.compare.model.engine);
  json.update({{"eval", "needle"},
               {"kind", flags.kind},
               {"text_sums", sums},
               {"depths", flags.n_depths},
               {"seed", flags.seed},
               {"min_context", flags.compare.model.method.min_context}});
  return json;
}

std::vector<Experiment::Result> ask(Branches& branches, const NeedlePrompt& prompt,
                                    const Tokenizer& tokenizer, Experiment::Methods methods,
                                    const Progress& progress) {
  const auto on_progress = [&](int64_t done, int64_t total) {
    progress(done, total);
    throw_if_interrupted();
  };
  std::vector<Experiment::Result> results;
  for (const NeedleAnswer& answer : ask_needle(branches, prompt, tokenizer, methods, on_progress)) {
    results.push_back({{{"score", answer.score},
                        {"wanted", prompt.expected},
                        {"answer", answer.text},
                        {"rows", rows_json(answer.rows)}}});
  }
  return results;
}

// A share of right answers, over the prompts that are done.
struct Cell {
  int64_t n = 0;
  double sum = 0;
  RowsReport rows;

  double score() const { return n == 0 ? 0 : sum / static_cast<double>(n); }
};

class Report {
 public:
  Report(const Flags& flags, const Model& model, const std::vector<Place>& places,
         const Experiment& experiment)
      : flags_(flags), model_(model), places_(places), experiment_(experiment) {}

  void print_json() const {
    Json cells = Json::array();
    for (const int64_t length : flags_.lengths) {
      for (int64_t depth = 0; depth < flags_.n_depths; ++depth) {
        for (size_t i = 0; i < experiment_.cases().size(); ++i) {
          const Cell one = cell(i, length, depth);
          if (one.n == 0) continue;
          Json json = {{"length", length}, {"depth", depth_of(flags_, depth)}};
          json.update(experiment_.cases()[i].json());
          json.update({{"score", one.score()}, {"n", one.n}, {"rows", rows_json(one.rows)}});
          cells.push_back(json);
        }
      }
    }
    Json json = model_json(model_, flags_.compare.model.engine);
    json.update({{"kind", flags_.kind},
                 {"lengths", flags_.lengths},
                 {"depths", flags_.n_depths},
                 {"prompts", flags_.n_prompts},
                 {"seed", flags_.seed},
                 {"cells", cells},
                 {"complete", !interrupted()}});
    put_json(json);
  }

  // A table per length: a row per method and plan, a column per budget.
  void print_tables() const {
    const std::vector<std::string>& given = flags_.compare.wanted.budgets;
    const auto budgets = given.empty() ? std::vector<std::string>{"plan's"} : given;
    for (const int64_t length : flags_.lengths) {
      put("{} tokens, {} prompts: right answers in % (rows read in %)\n\n", length,
          flags_.n_depths * flags_.n_prompts);
      put("| {:24} |", "method");
      for (const std::string& budget : budgets) put(" {:>12} |", "K " + budget);
      put("\n|---|");
      for (size_t i = 0; i < budgets.size(); ++i) put("--:|");
      print_rows(length);
      put("\n\n");
    }
  }

 private:
  void print_rows(int64_t length) const {
    std::string label;
    for (size_t i = 0; i < experiment_.cases().size(); ++i) {
      const MethodCase& method = experiment_.cases()[i];
      if (method.label() != label) {
        label = method.label();
        put("\n| {:24} |", label);
      }
      const Cell one = cell(i, length);
      put(" {:>12} |",
          one.n == 0 ? "-"
                     : fmt::format("{:.0f} ({:.1f})", 100 * one.score(), 100 * one.rows.share()));
    }
  }

  // Of one length, and depth where one is given.
  Cell cell(size_t method_case, int64_t length, int64_t depth = -1) const {
    Cell result;
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].length != length || (depth >= 0 && places_[i].depth != depth)) continue;
      const Json* line = experiment_.result(i, method_case);
      if (line == nullptr) continue;
      ++result.n;
      result.sum += line->at("score").get<double>();
      result.rows.read += line->at("rows").at("read").get<int64_t>();
      result.rows.total += line->at("rows").at("total").get<int64_t>();
    }
    return result;
  }

  const Flags& flags_;
  const Model& model_;
  const std::vector<Place>& places_;
  const Experiment& experiment_;
};

int eval_needle(const Flags& flags) {
  const EngineOptions& engine = flags.compare.model.engine;
  const auto model = load_model(engine);
  std::vector<MethodCase> cases = method_cases(flags.compare, *model);
  std::vector<std::string> texts;
  for (const std::string& file : flags.files) texts.push_back(read_text(file));
  const NeedlePrompts prompts = make_prompts(texts, *model);
  const std::vector<Place> places = places_of(flags);
  check_fits(flags, prompts, *model);
  const auto n_cases = static_cast<int32_t>(cases.size());
  require_cache_memory(model->config(), engine, std::ranges::max(flags.lengths), "lower --lengths");
  Experiment experiment(std::move(cases), items_of(places), flags.compare.output,
                        settings(flags, texts, *model));
  Branches branches(model, engine, n_cases,
                    *std::max_element(flags.lengths.begin(), flags.lengths.end()),
                    make_prompt(flags, prompts, places.front()).answer_tokens);
  run_experiment(experiment, "needle",
                 [&](size_t item, Experiment::Methods methods, const Progress& progress) {
                   return ask(branches, make_prompt(flags, prompts, places[item]),
                              prompts.tokenizer(), methods, progress);
                 });
  const Report report(flags, *model, places, experiment);
  flags.compare.model.json ? report.print_json() : report.print_tables();
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_eval_needle(CLI::App& eval, Work& work) {
  auto flags = std::make_shared<Flags>();
  flags->compare.wanted.methods = {"full", "tidal", "quest", "window", "oracle"};
  flags->compare.wanted.budgets = {"32", "64", "128", "256", "512"};
  CLI::App* command =
      eval.add_subcommand("needle", "Retrieval from long prompts, by methods and budgets");
  command->footer(
      "Example: tidal eval needle -f book.txt --lengths 2048,4096 --depths 5 --prompts 2 "
      "--methods full,tidal --budgets 32,128");
  const std::string group = "Prompts";
  command->add_option("--kind", flags->kind, "passkey, pairs (of JSON) or multi (four numbers)")
      ->group(group)
      ->check(CLI::IsMember({"passkey", "pairs", "multi"}))
      ->capture_default_str();
  command
      ->add_option("-f,--file", flags->files,
                   "Text to hide it in; may be repeated (default: plain sentences)")
      ->group(group)
      ->allow_extra_args(false);
  command->add_option("--lengths", flags->lengths, "Tokens of a prompt, question included")
      ->group(group)
      ->delimiter(',')
      ->check(whole_number(2))
      ->capture_default_str();
  command->add_option("--depths", flags->n_depths, "Places in the text, evenly spread")
      ->group(group)
      ->check(whole_number(1, 1000))
      ->capture_default_str();
  command->add_option("--prompts", flags->n_prompts, "Prompts for each length and depth")
      ->group(group)
      ->check(whole_number(1, 100000))
      ->capture_default_str();
  command->add_option("-s,--seed", flags->seed, "Equal seeds give equal prompts")
      ->group(group)
      ->check(seed_number())
      ->capture_default_str();
  add_compare_flags(*command, flags->compare);
  command->callback([flags, &work] { work = [flags] { return eval_needle(*flags); }; });
}

}  // namespace tidal::cli
