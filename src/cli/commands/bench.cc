// tidal bench: what a token costs at a depth, and how close that is to the machine's bandwidth.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "attention/layer_plan.h"
#include "attention/min_context.h"
#include "base/fail.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "bench/bandwidth.h"
#include "bench/crossover.h"
#include "bench/decode_bench.h"
#include "cli/bench_table.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "model/model.h"
#include "runtime/model_options.h"

namespace tidal::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string shape;
  std::string quant = "Q4_0";
  BenchOptions bench;
  std::vector<std::string> methods = {"full", "tidal"};
  std::string output = "md";
  bool crossover = false;
};

// A ladder around where sparse reads begin to pay.
const std::vector<int64_t> kCrossoverDepths = {256,  362,  512,  724,  1024, 1448,
                                               2048, 2896, 4096, 5793, 8192};

std::string kv_name(const EngineOptions& options) {
  return options.k_cache_type == options.v_cache_type
             ? options.k_cache_type
             : options.k_cache_type + "/" + options.v_cache_type;
}

// Of the caches that the tests write.
int64_t filled_tokens(const BenchOptions& options) {
  const int64_t deepest = *std::ranges::max_element(options.depths);
  const int32_t widest = *std::ranges::max_element(options.batches);
  return std::max((deepest + options.decode_tokens) * widest, options.prompt_tokens);
}

std::shared_ptr<const Model> bench_model(const Flags& flags) {
  if (flags.shape.empty()) {
    return load_model(flags.model.engine);
  }
  const std::optional<DType> dtype = dtype_from_name(flags.quant);
  if (!dtype.has_value()) {
    fail(ErrorCode::kInvalidArgument, "--quant '{}' is not a tensor type, give for example Q4_0",
         flags.quant);
  }
  const ProgressBar bar("making random weights");
  return Model::random(flags.shape, *dtype, flags.bench.seed, weight_layout(flags.model.engine));
}

// What was found and what the program would do by itself.
Json crossover_json(const std::vector<DepthSpeedup>& speedups, const BenchRow& last,
                    const Model& model, const EngineOptions& engine) {
  int64_t in_force = kDefaultMinContext;
  if (last.method == "tidal") {
    const int32_t n_layers = model.config().n_layers();
    const auto cache_bytes = static_cast<int64_t>(cache_bytes_per_token(model.config(), engine));
    in_force = default_min_context(parse_plan_line(last.plan, n_layers), cache_bytes / n_layers);
  }
  const std::optional<int64_t> found = crossover(speedups);
  const std::string measured = found.has_value()
                                   ? fmt::format("from about {} tokens on", *found)
                                   : fmt::format("nowhere up to {} tokens", last.depth);
  note("{} is faster than full {}; --min-context is {} unless given", last.method, measured,
       in_force);
  return {{"method", last.method},
          {"plan", last.plan},
          {"measured", found.has_value() ? Json(*found) : Json()},
          {"default", in_force}};
}

// What drafts by each method would make of full attention's speed, where so many of them are right.
class LosslessNotes {
 public:
  // Rows of a depth come in the order of the methods, the verification last.
  void add(const BenchRow& row) {
    if (row.depth < 0) return;
    if (row.drafts == 0) {
      if (row.method == "full") {
        full_ms_ = row.ms_median;
        drafting_.clear();
      } else {
        drafting_.push_back(row);
      }
      return;
    }
    for (const BenchRow& method : drafting_) {
      const double ms = row.drafts * method.ms_median + row.ms_median;
      std::string line;
      for (const double right : {0.7, 0.8, 0.9, 1.0}) {
        double tokens = 1, all = 1;
        for (int32_t i = 0; i < row.drafts; ++i) tokens += all *= right;
        line += fmt::format("{}{:.2f} ({:.0f} %)", line.empty() ? "" : ", ", tokens * full_ms_ / ms,
                            100 * right);
      }
      note(
          "lossless at depth {}, {} drafts by {}, times as fast as full (drafts that are right): "
          "{}",
          row.depth, row.drafts, method.method, line);
    }
  }

 private:
  double full_ms_ = 0;
  std::vector<BenchRow> drafting_;
};

void prepare_crossover(Flags& flags) {
  const bool two = flags.methods.size() == 2;
  if (!two || std::count(flags.methods.begin(), flags.methods.end(), "full") != 1) {
    throw UsageError("--crossover compares full and one other --method");
  }
  if (flags.bench.depths.empty()) flags.bench.depths = kCrossoverDepths;
  flags.bench.prompt_tokens = 0;
  flags.bench.batches = {1};
  flags.bench.operators = false;
  flags.model.method.min_context = 0;
}

int bench(Flags& flags) {
  if (flags.crossover) prepare_crossover(flags);
  if (flags.bench.depths.empty()) flags.bench.depths = {0, 4096, 8192};
  if (!flags.shape.empty() && !flags.model.engine.model.empty()) {
    throw UsageError("give a model with -m or a shape with --shape, not both");
  }
  BenchOptions& options = flags.bench;
  options.engine = flags.model.engine;
  options.engine.threads = thread_count(options.engine.threads);
  // First what the others are compared with.
  std::stable_partition(flags.methods.begin(), flags.methods.end(),
                        [](const std::string& name) { return name == "full"; });
  for (const std::string& name : flags.methods) {
    options.methods.push_back(flags.model.method);
    options.methods.back().name = name;
  }
  const auto model = bench_model(flags);
  require_cache_memory(model->config(), options.engine, filled_tokens(options),
                       "lower -d, -p or --batch");
  const BenchSetting setting{
      .model = flags.shape.empty() ? model->config().name : flags.shape,
      .quant = std::string(dtype_name(model->weights().layers.front().wq.dtype)),
      .kv = kv_name(options.engine),
      .backend = options.engine.backend,
      .threads = options.engine.threads,
      .bandwidth = measure_read_bandwidth(options.engine.threads)};
  note("read bandwidth {:.1f} GB/s with {} threads", setting.bandwidth / 1e9, setting.threads);
  catch_interrupts();
  BenchTable table(flags.model.json ? "json" : flags.output, setting, options.operators);
  StageBar bar;
  BenchEvents events;
  events.on_progress = [&](std::string_view what, int64_t done, int64_t total) {
    bar.update(what, "tokens", done, total);
    return !interrupted();
  };
  std::vector<DepthSpeedup> speedups;
  BenchRow last;
  LosslessNotes lossless;
  events.on_row = [&](const BenchRow& row) {
    bar.clear();
    table.add(row);
    lossless.add(row);
    if (row.depth >= 0 && row.method != "full") {
      speedups.push_back({row.depth, row.speedup_vs_full});
      last = row;
    }
    return !interrupted();
  };
  run_bench(model, options, setting.bandwidth, events);
  bar.clear();
  Json found;
  if (flags.crossover && !speedups.empty()) {
    found = crossover_json(speedups, last, *model, options.engine);
  }
  table.end(found);
  return interrupted() ? kExitInterrupted : kExitDone;
}

constexpr const char* kGroup = "Benchmark";

// What is run: depths, lengths, repetitions.
void add_cases(CLI::App& command, BenchOptions& bench, bool& crossover) {
  command.add_option("-d,--depths", bench.depths, "Cache depths of the decode tests [0,4096,8192]")
      ->group(kGroup)
      ->delimiter(',')
      ->check(whole_number(0));
  command
      .add_flag("--crossover", crossover,
                "From which length on the sparse method is faster than full: sparse at every depth "
                "of a ladder from 256 to 8192 (or -d), no prefill test")
      ->group(kGroup);
  command.add_option("-p,--n-prompt", bench.prompt_tokens, "Prefill test length, 0: none")
      ->group(kGroup)
      ->check(whole_number(0))
      ->capture_default_str();
  command
      .add_option("-r,--repetitions", bench.repetitions,
                  "Runs of the prefill test [3, or 1 where one takes more than 30 s]")
      ->group(kGroup)
      ->check(whole_number(1, 1000));
  command.add_option("-n,--n-gen", bench.decode_tokens, "Timed decode steps")
      ->group(kGroup)
      ->check(whole_number(1))
      ->capture_default_str();
  command
      .add_option("--batch", bench.batches,
                  "Sequences decoded at once, each with a cache of that depth; tok_s counts all")
      ->group(kGroup)
      ->delimiter(',')
      ->check(whole_number(1, 1024))
      ->capture_default_str();
}

}  // namespace

void add_bench(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("bench", "Time decode at a cache depth, and prefill");
  command->footer(
      "Example: tidal bench --shape llama-3.1-8b --quant Q4_0 -d 4096,32768 --method full,tidal");
  command
      ->add_option("--shape", flags->shape,
                   "Random weights: smollm2-135m, llama-3.2-1b, llama-3.1-8b, llama-2-7b, qwen3-8b")
      ->group(kGroup);
  command->add_option("--quant", flags->quant, "Type of the random weights")
      ->group(kGroup)
      ->needs("--shape")
      ->capture_default_str();
  add_cases(*command, flags->bench, flags->crossover);
  command
      ->add_option("--drafts", flags->bench.drafts,
                   "Full attention's step of a token and N drafts too, and what that makes of "
                   "--lossless")
      ->group(kGroup)
      ->check(whole_number(0, kMostDrafts))
      ->capture_default_str();
  command
      ->add_flag("--ops", flags->bench.operators,
                 "Rows of the operators of a step too: ms a call, calls and share of the step")
      ->group(kGroup);
  command
      ->add_option("--step-queries", flags->bench.step_queries,
                   "With --ops: full attention of N queries of a sequence in one step, too")
      ->group(kGroup)
      ->needs("--ops")
      ->check(whole_number(1, kMaxStepQueries))
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "md, json or csv")
      ->group(kGroup)
      ->check(CLI::IsMember({"md", "json", "csv"}))
      ->capture_default_str();
  command->add_option("--seed", flags->bench.seed, "Of random weights and cache")
      ->group(kGroup)
      ->check(seed_number())
      ->capture_default_str();
  add_options(*command, OptionGroup::kAttention, flags->model);
  command->remove_option(command->get_option("--method"));
  command->add_option("--method", flags->methods, "full, tidal, quest, window, oracle")
      ->group("Attention")
      ->delimiter(',')
      ->check(taken_by(find_option("method")))
      ->capture_default_str();
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return bench(*flags); }; });
}

}  // namespace tidal::cli
