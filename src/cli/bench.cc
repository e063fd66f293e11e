// tidal bench: what a token costs at a depth, and how close that is to the machine's bandwidth.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>

#include "base/fail.h"
#include "base/parallel.h"
#include "bench/bandwidth.h"
#include "bench/decode_bench.h"
#include "cli/command.h"
#include "engine/model_options.h"
#include "model/model.h"
#include "ops/cpu/cpu_backend.h"

namespace tidal::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string shape;
  std::string quant = "Q4_0";
  BenchOptions bench;
  std::vector<std::string> methods = {"full", "tidal"};
  std::string output = "md";
};

struct Machine {
  std::string backend;
  int threads;
  double bandwidth;  // bytes per second
};

// As the operating system calls it; empty where it does not say.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

std::string kv_name(const EngineOptions& options) {
  return options.k_cache_type == options.v_cache_type
             ? options.k_cache_type
             : options.k_cache_type + "/" + options.v_cache_type;
}

Json row_json(const BenchRow& row, const Model& model, const Flags& flags, const Machine& machine) {
  Json json = {{"model", flags.shape.empty() ? model.config().name : flags.shape},
               {"quant", dtype_name(model.weights().layers.front().wq.dtype)},
               {"kv", kv_name(flags.model.engine)},
               {"backend", machine.backend},
               {"threads", machine.threads},
               {"test", row.test},
               {"method", row.method},
               {"plan", row.plan},
               {"ms_median", row.ms_median},
               {"ms_min", row.ms_min},
               {"tok_s", row.tokens_per_second},
               {"rows_share", row.rows_share},
               {"gb_moved", row.gb_moved},
               {"gb_s", row.gb_per_second},
               {"bandwidth_share", row.bandwidth_share},
               {"speedup_vs_full", nullptr}};
  if (row.speedup_vs_full > 0) json["speedup_vs_full"] = row.speedup_vs_full;
  return json;
}

// One row at a time in the chosen format; JSON is one object, printed at the end.
class Table {
 public:
  explicit Table(std::string format) : format_(std::move(format)) {}

  void add(const Json& row) {
    if (format_ == "json") {
      rows_.push_back(row);
    } else if (format_ == "csv") {
      print_csv(row);
    } else {
      print_markdown(row);
    }
    std::fflush(stdout);
    first_ = false;
  }

  void end(const Machine& machine) const {
    if (format_ != "json") return;
    const Json json = {{"machine",
                        {{"processor", processor_name()},
                         {"target", cpu_target_name()},
                         {"backend", machine.backend},
                         {"threads", machine.threads}}},
                       {"bandwidth_gb_s", machine.bandwidth / 1e9},
                       {"rows", rows_}};
    fmt::print("{}\n", dump(json));
  }

 private:
  static std::string cell(const Json& value) {
    if (value.is_null()) return "";
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number_float()) return fmt::format("{:.3f}", value.get<double>());
    return dump(value);
  }

  static std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
    return result + "\"";
  }

  void print_csv(const Json& row) const {
    std::string header;
    std::string line;
    for (const auto& [key, value] : row.items()) {
      const char* comma = header.empty() ? "" : ",";
      header += comma + key;
      line += comma + (value.is_string() ? quoted(value.get<std::string>()) : cell(value));
    }
    if (first_) fmt::print("{}\n", header);
    fmt::print("{}\n", line);
  }

  void print_markdown(const Json& row) const {
    if (first_) {
      fmt::print(
          "| model | quant | kv | backend | threads | test | method | plan | ms_median | ms_min | "
          "tok_s | rows_share | gb_moved | gb_s | bandwidth_share | speedup_vs_full |\n"
          "|---|---|---|---|--:|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    }
    const auto text = [&](const char* key) { return row[key].get<std::string>(); };
    const auto value = [&](const char* key) { return row[key].get<double>(); };
    const std::string speedup =
        row["speedup_vs_full"].is_null() ? "" : fmt::format("{:.2f}x", value("speedup_vs_full"));
    fmt::print(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {:.2f} | {:.2f} | {:.1f} | {:.1f} % | {:.3f} | "
        "{:.1f} | {:.0f} % | {} |\n",
        text("model"), text("quant"), text("kv"), text("backend"), row["threads"].get<int>(),
        text("test"), text("method"), text("plan"), value("ms_median"), value("ms_min"),
        value("tok_s"), 100 * value("rows_share"), value("gb_moved"), value("gb_s"),
        100 * value("bandwidth_share"), speedup);
  }

  std::string format_;
  std::vector<Json> rows_;
  bool first_ = true;
};

std::shared_ptr<const Model> bench_model(const Flags& flags) {
  if (flags.shape.empty()) {
    return Model::load(model_path(flags.model.engine.model),
                       rope_override(flags.model.engine.rope));
  }
  const std::optional<DType> dtype = dtype_from_name(flags.quant);
  if (!dtype.has_value()) {
    fail(ErrorCode::kInvalidArgument, "--quant '{}' is no tensor type, give for example Q4_0",
         flags.quant);
  }
  return Model::random(flags.shape, *dtype, flags.bench.seed);
}

int bench(Flags& flags) {
  if (!flags.shape.empty() && !flags.model.engine.model.empty()) {
    throw UsageError("give a model with -m or a shape with --shape, not both");
  }
  BenchOptions& options = flags.bench;
  options.engine = flags.model.engine;
  if (options.engine.threads == 0) options.engine.threads = default_threads();
  // First what the others are compared with.
  std::stable_partition(flags.methods.begin(), flags.methods.end(),
                        [](const std::string& name) { return name == "full"; });
  for (const std::string& name : flags.methods) {
    options.methods.push_back(flags.model.method);
    options.methods.back().name = name;
  }
  const auto model = bench_model(flags);
  const Machine machine{options.engine.backend, options.engine.threads,
                        measure_read_bandwidth(options.engine.threads)};
  fmt::print(stderr, "read bandwidth {:.1f} GB/s with {} threads\n", machine.bandwidth / 1e9,
             machine.threads);
  catch_interrupts();
  Table table(flags.model.json ? "json" : flags.output);
  run_bench(model, options, machine.bandwidth, [&](const BenchRow& row) {
    table.add(row_json(row, *model, flags, machine));
    return !interrupted();
  });
  table.end(machine);
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_bench(CLI::App& app, Work& work) {
  auto flags = std::make_shared<Flags>();
  flags->bench.depths = {0, 4096, 8192};
  CLI::App* command = app.add_subcommand("bench", "Time decode at a cache depth, and prefill");
  command->footer(
      "Example: tidal bench --shape llama-3.1-8b --quant Q4_0 -d 4096,32768 --method full,tidal");
  const std::string group = "Benchmark";
  command
      ->add_option("--shape", flags->shape,
                   "Random weights: smollm2-135m, llama-3.2-1b, llama-3.1-8b, llama-2-7b, qwen3-8b")
      ->group(group);
  command->add_option("--quant", flags->quant, "Type of the random weights")
      ->group(group)
      ->needs("--shape")
      ->capture_default_str();
  command->add_option("-d,--depths", flags->bench.depths, "Cache depths of the decode tests")
      ->group(group)
      ->delimiter(',')
      ->check(whole_number(0))
      ->capture_default_str();
  command->add_option("-p,--n-prompt", flags->bench.prompt_tokens, "Prefill test length, 0: none")
      ->group(group)
      ->check(whole_number(0))
      ->capture_default_str();
  command->add_option("-n,--n-gen", flags->bench.decode_tokens, "Timed decode steps")
      ->group(group)
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("-o,--output", flags->output, "md, json or csv")
      ->group(group)
      ->check(CLI::IsMember({"md", "json", "csv"}))
      ->capture_default_str();
  command->add_option("--seed", flags->bench.seed, "Of random weights and cache")
      ->group(group)
      ->check(whole_number(0))
      ->capture_default_str();
  add_method_flags(*command, flags->model);
  command->remove_option(command->get_option("--method"));
  command->add_option("--method", flags->methods, "full, tidal, quest, window, oracle")
      ->group("Attention")
      ->delimiter(',')
      ->check(method_name())
      ->capture_default_str();
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return bench(*flags); }; });
}

}  // namespace tidal::cli
