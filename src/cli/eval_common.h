// What the evaluations share: the text they run on, and the methods they compare.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/inputs.h"
#include "cli/output.h"
#include "eval/experiment.h"
#include "eval/method_cases.h"
#include "model/model.h"

namespace tidal::cli {

// The text: books or token ids, and which part of each is used.
struct TextFlags {
  std::vector<std::string> files;
  std::string tokens_file;
  int64_t n_prefill = 1;
  int64_t max_tokens = 0;
  int64_t skip = 0;
};
void add_text_flags(CLI::App& app, TextFlags& flags, bool several_files);

// The tokens of one text, a begin token in front where the model wants one. `skip` of them are left
// out behind it, and max_tokens kept, 0: all. Throws Error when there are fewer, or when one is not
// in the vocabulary.
struct Text {
  std::string name;
  std::string sum;  // of the file, as file_sum
  std::vector<int32_t> tokens;
};
std::vector<Text> read_texts(const TextFlags& flags, const Model& model);
// Throws Error when --prefill leaves nothing to score, or --ctx-size (0: none given) is too small.
void check_lengths(const Text& text, int64_t n_prefill, int64_t context_size);

struct CompareFlags {
  ModelFlags model;
  Comparison wanted;
  std::string output;  // finished work, JSON lines
};
void add_compare_flags(CLI::App& app, CompareFlags& flags);
std::vector<MethodCase> method_cases(const CompareFlags& flags, const Model& model);

// Runs it with a progress bar to its end or to Ctrl-C. `measure` may throw Interrupted.
void run_experiment(Experiment& experiment, const std::string& label,
                    const Experiment::Measure& measure);

// Opens every report: {"model", "model_sum", …} and what decides how the model computes.
Json model_json(const Model& model, const EngineOptions& options);

// Says on stderr when sequences outgrow what the model was made for.
void warn_beyond_training(const Model& model, int64_t n_tokens);

// The subcommands of eval.
void add_eval_ppl(CLI::App& eval, Work& work);
void add_eval_kld(CLI::App& eval, Work& work);
void add_eval_needle(CLI::App& eval, Work& work);
void add_eval_recall(CLI::App& eval, Work& work);

}  // namespace tidal::cli
