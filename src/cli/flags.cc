#include "cli/flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "attention/layer_plan.h"
#include "attention/registry.h"
#include "base/log.h"
#include "ops/factory/backend_factory.h"
#include "tidal/error.h"

namespace tidal::cli {
namespace {

constexpr double kLargestFloat = std::numeric_limits<float>::max();
constexpr const char* kMethodGroup = "Attention";

template <typename T>
bool parses(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

bool in_range(const std::string& text, int64_t least, int64_t most) {
  int64_t value = 0;
  return parses(text, value) && value >= least && value <= most;
}

CLI::Validator budget() {
  return CLI::Validator(
      [](std::string& text) {
        try {
          parse_budget(text);
          return std::string();
        } catch (const Error&) {
          return fmt::format("'{}' is neither a number of tokens (512) nor a share (10%)", text);
        }
      },
      "");
}

void add_context_flags(CLI::App& app, MethodOptions& method) {
  app.add_option("--min-context", method.min_context,
                 "Below this length everything is read (default: where sparse starts to pay)")
      ->group(kMethodGroup)
      ->check(whole_number(0));
  app.add_option("--correct-every", method.correct_every,
                 "KV cache correction stride in tokens, 0 = off (default: the plan's)")
      ->group(kMethodGroup)
      ->check(whole_number(0));
}

}  // namespace

CLI::Validator whole_number(int64_t least, int64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        if (in_range(text, least, most)) return std::string();
        return fmt::format("'{}' is not a whole number from {} to {}", text, least, most);
      },
      "");
}

CLI::Validator whole_number_or_all() {
  return CLI::Validator(
      [](std::string& text) {
        if (text == "-1" || in_range(text, 1, kMaxCount)) return std::string();
        return fmt::format("'{}' is not a whole number from 1 to {}, or -1 for as many as fit",
                           text, kMaxCount);
      },
      "");
}

CLI::Validator seed_number() { return whole_number(0, INT64_MAX); }

CLI::Validator number(std::string wanted, bool (*good)(double)) {
  return CLI::Validator(
      [wanted = std::move(wanted), good](std::string& text) {
        double value = 0;
        const bool fits = parses(text, value) && std::abs(value) <= kLargestFloat;
        if (fits && good(value) && good(static_cast<float>(value))) return std::string();
        return fmt::format("'{}' is not {}", text, wanted);
      },
      "");
}

CLI::Validator positive_number() {
  return number("a number above 0", [](double value) { return value > 0; });
}

CLI::Validator method_name() {
  return CLI::Validator(
      [](std::string& text) {
        const auto names = method_names();
        if (std::find(names.begin(), names.end(), text) != names.end()) return std::string();
        return fmt::format("unknown method '{}'; available: {}", text, fmt::join(names, ", "));
      },
      "");
}

void add_output_flags(CLI::App& app, ModelFlags& flags) {
  app.add_flag("--json", flags.json, "One JSON object on stdout and nothing else");
  app.add_flag_callback(
      "-v,--verbose", [] { init_logging(true); }, "More on stderr");
}

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  EngineOptions& engine = flags.engine;
  const std::string group = "Model";
  app.add_option("-m,--model", engine.model,
                 "GGUF file or Hugging Face folder; without it, the model of scripts/get-model")
      ->group(group);
  app.add_option("-c,--ctx-size", engine.context_size,
                 "Cache capacity in tokens (default: what prompt and -n need)")
      ->group(group)
      ->check(whole_number(1));
  app.add_option("-t,--threads", engine.threads,
                 "Threads (default: the physical cores this process may use)")
      ->group(group)
      ->check(whole_number(1, 4096));
  app.add_option("--cache-type-k", engine.k_cache_type, "Type of cached K (short: -ctk)")
      ->group(group)
      ->check(CLI::IsMember({"f16", "bf16", "f32", "q8_0"}))
      ->capture_default_str();
  app.add_option("--cache-type-v", engine.v_cache_type, "Type of cached V (short: -ctv)")
      ->group(group)
      ->check(CLI::IsMember({"f16", "bf16", "f32", "q8_0"}))
      ->capture_default_str();
  app.add_option("--backend", engine.backend, fmt::format("{}", fmt::join(backend_names(), ", ")))
      ->group(group)
      ->check(CLI::IsMember(backend_names()))
      ->capture_default_str();
  app.add_option("--rope-scaling", engine.rope.scaling,
                 "none, linear or yarn (default: the model's)")
      ->group(group)
      ->check(CLI::IsMember({"none", "linear", "yarn"}));
  app.add_option("--rope-scale", engine.rope.scale, "Context extension factor")
      ->group(group)
      ->check(positive_number());
  app.add_option("--rope-freq-base", engine.rope.freq_base, "RoPE base frequency")
      ->group(group)
      ->check(positive_number());
  app.add_option("--yarn-orig-ctx", engine.rope.yarn_original_context,
                 "YaRN: the context the model was trained at")
      ->group(group)
      ->check(whole_number(1));
  add_output_flags(app, flags);
}

void add_method_flags(CLI::App& app, ModelFlags& flags) {
  MethodOptions& method = flags.method;
  app.add_option("--method", method.name,
                 "What decode steps read: full, tidal, quest, window, oracle")
      ->group(kMethodGroup)
      ->check(method_name())
      ->capture_default_str();
  app.add_option(
         "--plan", method.plan,
         "Preset (paper, tidal), plan line (\"full:0-1 select:2,12 budget:512\") or plan file")
      ->group(kMethodGroup);
  app.add_option("--budget", method.budget,
                 "Rows a sparse layer reads, newest included: tokens (512) or a share (10%)")
      ->group(kMethodGroup)
      ->check(budget());
  add_context_flags(app, method);
}

void add_compared_method_flags(CLI::App& app, ModelFlags& flags, std::vector<std::string>& methods,
                               std::vector<std::string>& plans, std::vector<std::string>& budgets) {
  app.add_option("--method,--methods", methods,
                 "What decode steps read: full, tidal, quest, window, oracle, one or several "
                 "(default: tidal)")
      ->group(kMethodGroup)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(method_name());
  app.add_option(
         "--plan", plans,
         "Preset, plan line or plan file; may be repeated. METHOD=PLAN: for that method; without "
         "METHOD= it applies to tidal if it is among the methods, otherwise to all")
      ->group(kMethodGroup)
      ->allow_extra_args(false);
  app.add_option("--budget,--budgets", budgets,
                 "Rows a sparse layer reads, newest included: tokens (128,512) or shares (10%)")
      ->group(kMethodGroup)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(budget());
  add_context_flags(app, flags.method);
}

}  // namespace tidal::cli
