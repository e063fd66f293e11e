// tidal eval kld: how far methods are from full attention on the same text, in one run.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "cli/eval_common.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/result_log.h"
#include "eval/divergence.h"

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

Json unit_json(const Text& text, const MethodCase& method) {
  return {{"file", text.name}, {"file_sum", text.sum}, {"case", method.json()}};
}

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

class Run {
 public:
  explicit Run(const Flags& flags)
      : flags_(flags),
        model_(load_model(flags.compare.model.engine)),
        cases_(method_cases(flags.compare, *model_)),
        texts_(read_texts(flags.text, *model_)),
        log_(flags.compare.output, settings()),
        bar_("divergence", "tokens") {
    int64_t longest = 0;
    for (const Text& text : texts_) {
      check_lengths(text, flags.text.n_prefill, flags.compare.model.engine.context_size);
      longest = std::max(longest, length(text));
    }
    warn_beyond_training(*model_, longest);
  }

  int run() {
    catch_interrupts();
    for (const Text& text : texts_) tokens_left_ += missing(text).empty() ? 0 : length(text);
    tokens_in_all_ = tokens_left_;
    measured_.resize(texts_.size());
    for (size_t i = 0; i < texts_.size() && !interrupted(); ++i) {
      measured_[i].resize(cases_.size());
      measure(texts_[i], measured_[i]);
    }
    bar_.clear();
    print();
    return interrupted() ? kExitInterrupted : kExitDone;
  }

 private:
  Json settings() const {
    Json json = model_json(*model_, flags_.compare.model.engine);
    json.update({{"eval", "kld"},
                 {"prefill", flags_.text.n_prefill},
                 {"max_tokens", flags_.text.max_tokens},
                 {"skip", flags_.text.skip},
                 {"min_context", flags_.compare.model.method.min_context}});
    return json;
  }

  static int64_t length(const Text& text) { return std::ssize(text.tokens); }

  // The cases that the output file does not hold for this text.
  std::vector<size_t> missing(const Text& text) const {
    std::vector<size_t> result;
    for (size_t i = 0; i < cases_.size(); ++i) {
      if (log_.find(unit_json(text, cases_[i])) == nullptr) result.push_back(i);
    }
    return result;
  }

  void measure(const Text& text, std::vector<Measured>& measured) {
    const std::vector<size_t> wanted = missing(text);
    for (size_t i = 0; i < cases_.size(); ++i) {
      const Json* done = log_.find(unit_json(text, cases_[i]));
      if (done != nullptr) measured[i] = measured_from(*done);
    }
    if (wanted.empty()) return;
    std::vector<std::shared_ptr<const AttentionMethod>> methods;
    for (const size_t i : wanted) methods.push_back(cases_[i].method);
    const int64_t n_prefill = flags_.text.n_prefill;
    Branches branches(model_, flags_.compare.model.engine, static_cast<int32_t>(methods.size()) + 1,
                      n_prefill, length(text) - n_prefill);
    const auto on_token = [&](int64_t, std::span<const TokenDivergence> divergences) {
      for (size_t i = 0; i < wanted.size(); ++i) {
        measured[wanted[i]].tokens.push_back(divergences[i]);
      }
      return !interrupted();
    };
    const auto on_progress = [&](int64_t done, int64_t total) {
      bar_.update(tokens_in_all_ - tokens_left_ + done, tokens_in_all_);
      if (done < n_prefill) throw_if_interrupted();
      if (done == total) tokens_left_ -= total;
    };
    try {
      diverge(branches, methods, text.tokens, n_prefill, on_token, on_progress);
    } catch (const Interrupted&) {
      return;  // nothing of this text was measured
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
      Measured& result = measured[wanted[i]];
      result.rows = branches.rows(static_cast<int32_t>(i));
      result.corrections = branches.corrections(static_cast<int32_t>(i));
      if (std::ssize(result.tokens) == length(text) - n_prefill) {
        log_.add(unit_json(text, cases_[wanted[i]]), measured_json(result));
      }
    }
  }

  void print() const {
    if (!flags_.compare.model.json) {
      fmt::print("| {:24} | {:>8} | {:>8} | {:>8} | {:>8} | {:>8} | {:>9} | {:>6} |\n", "method",
                 "KLD", "+-", "p99", "same top", "ppl", "full ppl", "rows");
      fmt::print("|---|--:|--:|--:|--:|--:|--:|--:|\n");
    }
    for (size_t i = 0; i < cases_.size(); ++i) print_case(i);
  }

  void print_case(size_t index) const {
    const MethodCase& method = cases_[index];
    Measured all;
    Json files = Json::array();
    for (size_t i = 0; i < texts_.size(); ++i) {
      if (measured_[i].empty()) continue;
      const Measured& one = measured_[i][index];
      all.tokens.insert(all.tokens.end(), one.tokens.begin(), one.tokens.end());
      all.rows.read += one.rows.read;
      all.rows.total += one.rows.total;
      all.corrections += one.corrections;
      const DivergenceSummary summary = summarize(one.tokens);
      files.push_back({{"file", texts_[i].name},
                       {"tokens", summary.tokens},
                       {"kld", summary.mean},
                       {"ppl", summary.perplexity},
                       {"ppl_full", summary.perplexity_full}});
    }
    const DivergenceSummary sum = summarize(all.tokens);
    if (!flags_.compare.model.json) {
      const std::string budget = method.budget.empty() ? "" : " K " + method.budget;
      fmt::print(
          "| {:24} | {:8.5f} | {:8.5f} | {:8.4f} | {:6.2f} % | {:8.4f} | {:9.4f} | {:4.1f} % |\n",
          method.label() + budget, sum.mean, sum.standard_error, sum.p99, 100 * sum.same_top,
          sum.perplexity, sum.perplexity_full, 100 * all.rows.share());
      return;
    }
    Json json = model_json(*model_, flags_.compare.model.engine);
    json.update({{"tokens", sum.tokens},
                 {"kld",
                  {{"mean", sum.mean},
                   {"stderr", sum.standard_error},
                   {"p50", sum.p50},
                   {"p90", sum.p90},
                   {"p99", sum.p99},
                   {"p999", sum.p999},
                   {"max", sum.max}}},
                 {"same_top", sum.same_top},
                 {"rms_dp", sum.rms_dp},
                 {"ppl", sum.perplexity},
                 {"ppl_stderr", sum.perplexity_error},
                 {"ppl_full", sum.perplexity_full}});
    json.update(method.json());
    json.update({{"rows", rows_json(all.rows)},
                 {"corrections", all.corrections},
                 {"prefill", flags_.text.n_prefill},
                 {"skip", flags_.text.skip},
                 {"files", files},
                 {"seed", 0},
                 {"complete", !interrupted()}});
    fmt::print("{}\n", dump(json));
  }

  const Flags& flags_;
  std::shared_ptr<const Model> model_;
  std::vector<MethodCase> cases_;
  std::vector<Text> texts_;
  ResultLog log_;
  ProgressBar bar_;
  int64_t tokens_in_all_ = 0;  // of the texts that are not done
  int64_t tokens_left_ = 0;
  std::vector<std::vector<Measured>> measured_;  // [n_texts][n_cases]; inner empty: not begun
};

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
  command->callback([flags, &work] { work = [flags] { return Run(*flags).run(); }; });
}

}  // namespace tidal::cli
