// tidal eval needle: who still finds what a long prompt hides, by method, budget, length and depth.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/fail.h"
#include "cli/eval_common.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/result_log.h"
#include "eval/model_sum.h"
#include "eval/needle.h"
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

// A prompt, and which of the cases have not answered it.
struct Question {
  Place place;
  std::vector<size_t> cases;
};

// A share of right answers, over some prompts.
struct Cell {
  int64_t n = 0;
  double sum = 0;
  RowsReport rows;

  double score() const { return n == 0 ? 0 : sum / static_cast<double>(n); }
};

class Run {
 public:
  explicit Run(const Flags& flags)
      : flags_(flags),
        kind_(needle_kind(flags.kind)),
        model_(load_model(flags.compare.model.engine)),
        cases_(method_cases(flags.compare, *model_)),
        prompts_(make_prompts()),
        log_(flags.compare.output, settings()),
        bar_("needle", "tokens") {
    for (const int64_t length : flags.lengths) {
      for (int64_t depth = 0; depth < flags.n_depths; ++depth) {
        for (int64_t i = 0; i < flags.n_prompts; ++i) places_.push_back({length, depth, i});
      }
    }
    check_fits();
  }

  int run() {
    catch_interrupts();
    const int64_t longest = *std::max_element(flags_.lengths.begin(), flags_.lengths.end());
    Branches branches(model_, flags_.compare.model.engine, static_cast<int32_t>(cases_.size()),
                      longest, answer_tokens());
    try {
      std::vector<Question> questions;
      for (const Place& place : places_) {
        throw_if_interrupted();
        Question question{place, missing(place)};
        if (question.cases.size() < cases_.size()) answered_.push_back(place);
        if (question.cases.empty()) continue;
        tokens_in_all_ += place.length;
        questions.push_back(std::move(question));
      }
      for (const Question& question : questions) {
        throw_if_interrupted();
        ask(branches, question);
      }
    } catch (const Interrupted&) {
      // What is done gets printed.
    }
    bar_.clear();
    flags_.compare.model.json ? print_json() : print_tables();
    return interrupted() ? kExitInterrupted : kExitDone;
  }

 private:
  NeedlePrompts make_prompts() const {
    const Tokenizer tokenizer = load_tokenizer(*model_);
    std::vector<std::vector<int32_t>> books;
    for (const std::string& file : flags_.files) {
      books.push_back(tokenizer.encode(read_text(file), false, false));
    }
    return {tokenizer, load_chat_template(*model_, tokenizer), std::move(books)};
  }

  Json settings() const {
    Json sums = Json::array();
    for (const std::string& file : flags_.files) sums.push_back(file_sum(file));
    Json json = model_json(*model_, flags_.compare.model.engine);
    json.update({{"eval", "needle"},
                 {"kind", flags_.kind},
                 {"text_sums", sums},
                 {"depths", flags_.n_depths},
                 {"seed", flags_.seed},
                 {"min_context", flags_.compare.model.method.min_context}});
    return json;
  }

  double depth_of(const Place& place) const {
    return flags_.n_depths == 1
               ? 0.5
               : static_cast<double>(place.depth) / static_cast<double>(flags_.n_depths - 1);
  }

  NeedlePrompt prompt(const Place& place) const {
    const auto mixed =
        static_cast<uint64_t>((place.length * 1000 + place.depth) * 100000 + place.prompt);
    return prompts_.make(kind_, place.length, depth_of(place),
                         flags_.seed * 0x9e3779b97f4a7c15u + mixed);
  }

  int64_t answer_tokens() const { return prompt(places_.front()).answer_tokens; }

  void check_fits() const {
    int64_t longest = 0;
    for (const int64_t length : flags_.lengths) {
      const int64_t needed = length + prompt({length, 0, 0}).answer_tokens;
      const int64_t capacity = flags_.compare.model.engine.context_size;
      if (capacity > 0 && needed > capacity) {
        fail(ErrorCode::kExhausted,
             "a prompt of {} tokens and its answer take {}, --ctx-size holds {}: raise it or lower "
             "--lengths",
             length, needed, capacity);
      }
      longest = std::max(longest, needed);
    }
    warn_beyond_training(*model_, longest);
  }

  Json unit(const Place& place, const MethodCase& method) const {
    return {{"length", place.length},
            {"depth", place.depth},
            {"prompt", place.prompt},
            {"case", method.json()}};
  }

  std::vector<size_t> missing(const Place& place) const {
    std::vector<size_t> result;
    for (size_t i = 0; i < cases_.size(); ++i) {
      if (log_.find(unit(place, cases_[i])) == nullptr) result.push_back(i);
    }
    return result;
  }

  void ask(Branches& branches, const Question& question) {
    const auto& [place, wanted] = question;
    if (wanted.size() == cases_.size()) answered_.push_back(place);
    std::vector<std::shared_ptr<const AttentionMethod>> methods;
    for (const size_t i : wanted) methods.push_back(cases_[i].method);
    const NeedlePrompt asked = prompt(place);
    const auto on_progress = [&](int64_t done, int64_t) {
      bar_.update(tokens_done_ + done, tokens_in_all_);
      throw_if_interrupted();
    };
    const std::vector<NeedleAnswer> answers =
        ask_needle(branches, asked, prompts_.tokenizer(), methods, on_progress);
    tokens_done_ += place.length;
    for (size_t i = 0; i < wanted.size(); ++i) {
      log_.add(unit(place, cases_[wanted[i]]), {{"score", answers[i].score},
                                                {"wanted", asked.wanted},
                                                {"answer", answers[i].text},
                                                {"rows", rows_json(answers[i].rows)}});
    }
  }

  // Over the prompts of a length (and depth, where one is given) that are done.
  Cell cell(const MethodCase& method, int64_t length, int64_t depth = -1) const {
    Cell result;
    for (const Place& place : answered_) {
      if (place.length != length || (depth >= 0 && place.depth != depth)) continue;
      const Json* line = log_.find(unit(place, method));
      if (line == nullptr) continue;
      ++result.n;
      result.sum += line->at("score").get<double>();
      result.rows.read += line->at("rows").at("read").get<int64_t>();
      result.rows.total += line->at("rows").at("total").get<int64_t>();
    }
    return result;
  }

  void print_json() const {
    Json cells = Json::array();
    for (const int64_t length : flags_.lengths) {
      for (int64_t depth = 0; depth < flags_.n_depths; ++depth) {
        for (const MethodCase& method : cases_) {
          const Cell one = cell(method, length, depth);
          if (one.n == 0) continue;
          Json json = {{"length", length}, {"depth", depth_of({length, depth, 0})}};
          json.update(method.json());
          json.update({{"score", one.score()}, {"n", one.n}, {"rows", rows_json(one.rows)}});
          cells.push_back(json);
        }
      }
    }
    Json json = model_json(*model_, flags_.compare.model.engine);
    json.update({{"kind", flags_.kind},
                 {"lengths", flags_.lengths},
                 {"depths", flags_.n_depths},
                 {"prompts", flags_.n_prompts},
                 {"seed", flags_.seed},
                 {"cells", cells},
                 {"complete", !interrupted()}});
    fmt::print("{}\n", dump(json));
  }

  // A table per length: a row per method and plan, a column per budget.
  void print_tables() const {
    const std::vector<std::string> budgets = flags_.compare.budgets.empty()
                                                 ? std::vector<std::string>{"plan's"}
                                                 : flags_.compare.budgets;
    for (const int64_t length : flags_.lengths) {
      fmt::print("{} tokens, {} prompts: right answers in % (rows read in %)\n\n", length,
                 flags_.n_depths * flags_.n_prompts);
      fmt::print("| {:24} |", "method");
      for (const std::string& budget : budgets) fmt::print(" {:>12} |", "K " + budget);
      fmt::print("\n|---|");
      for (size_t i = 0; i < budgets.size(); ++i) fmt::print("--:|");
      std::string label;
      for (const MethodCase& method : cases_) {
        if (method.label() != label) {
          label = method.label();
          fmt::print("\n| {:24} |", label);
        }
        const Cell one = cell(method, length);
        fmt::print(" {:>12} |", one.n == 0 ? "-"
                                           : fmt::format("{:.0f} ({:.1f})", 100 * one.score(),
                                                         100 * one.rows.share()));
      }
      fmt::print("\n\n");
    }
  }

  const Flags& flags_;
  NeedleKind kind_;
  std::shared_ptr<const Model> model_;
  std::vector<MethodCase> cases_;
  NeedlePrompts prompts_;
  ResultLog log_;
  ProgressBar bar_;
  std::vector<Place> places_;
  std::vector<Place> answered_;  // by at least one method
  int64_t tokens_in_all_ = 0;    // of the prompts that are not done
  int64_t tokens_done_ = 0;
};

}  // namespace

void add_eval_needle(CLI::App& eval, Work& work) {
  auto flags = std::make_shared<Flags>();
  flags->compare.methods = {"full", "tidal", "quest", "window", "oracle"};
  flags->compare.budgets = {"32", "64", "128", "256", "512"};
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
      ->check(whole_number(0))
      ->capture_default_str();
  add_compare_flags(*command, flags->compare);
  command->callback([flags, &work] { work = [flags] { return Run(*flags).run(); }; });
}

}  // namespace tidal::cli
