#include "cli/command.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "attention/layer_plan.h"
#include "attention/registry.h"
#include "base/fail.h"
#include "base/log.h"

namespace tidal::cli {
namespace {

constexpr const char* kMethodGroup = "Attention";
constexpr const char* kDefaultModelFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

std::atomic<bool> interrupt_seen{false};
std::atomic<bool> second_interrupt_ends{true};

int wake_fd = -1;

void on_interrupt(int) {
  const int saved = errno;
  if (interrupt_seen.exchange(true) && second_interrupt_ends) _exit(kExitInterrupted);
  eventfd_write(wake_fd, 1);
  errno = saved;
}

template <typename T>
bool parses(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
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
      ->check(whole_number(0, INT32_MAX));
}

}  // namespace

CLI::Validator whole_number(int64_t least, int64_t most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        int64_t value = 0;
        if (parses(text, value) && value >= least && value <= most) return std::string();
        return most == INT64_MAX
                   ? fmt::format("'{}' is not a whole number of at least {}", text, least)
                   : fmt::format("'{}' is not a whole number from {} to {}", text, least, most);
      },
      "");
}

CLI::Validator number(std::string wanted, bool (*good)(double)) {
  return CLI::Validator(
      [wanted = std::move(wanted), good](std::string& text) {
        double value = 0;
        if (parses(text, value) && std::isfinite(value) && good(value)) return std::string();
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
        return fmt::format("'{}' is no method, there are {}", text, fmt::join(names, ", "));
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
  app.add_option("--backend", engine.backend, "cpu or reference")
      ->group(group)
      ->check(CLI::IsMember({"cpu", "reference"}))
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
         "Preset, plan line or plan file; repeated to compare several. METHOD=PLAN: for that "
         "method; else for tidal, or for every method where tidal takes no part")
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

std::string model_path(const std::string& given) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!given.empty()) {
    if (!fs::exists(given, ignored)) {
      fail(ErrorCode::kNotFound,
           "no model at {}: give a GGUF file or a Hugging Face folder, or run scripts/get-model "
           "and leave out -m",
           given);
    }
    if (fs::is_directory(given, ignored) && !fs::exists(fs::path(given) / "config.json", ignored)) {
      fail(ErrorCode::kNotFound,
           "the folder {} holds no config.json: give a GGUF file or a Hugging Face folder", given);
    }
    return given;
  }
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path folder = cache != nullptr && *cache != '\0'
                              ? fs::path(cache)
                              : fs::path(home != nullptr ? home : ".") / ".cache";
  const fs::path path = folder / "tidal" / kDefaultModelFile;
  if (!fs::exists(path, ignored)) {
    fail(ErrorCode::kNotFound, "no model at {}: run scripts/get-model, or give one with -m",
         path.string());
  }
  return path.string();
}

std::string read_text(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    fail(ErrorCode::kInvalidArgument, "cannot read {}: it is a folder, give a file", path);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fail(ErrorCode::kNotFound, "cannot read {}: {}, give a readable file", path,
         std::strerror(errno));
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<int32_t> read_tokens(const std::string& path) {
  const Json json = Json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
  const Json* ids = json.is_object() && json.contains("tokens") ? &json["tokens"] : &json;
  std::vector<int32_t> tokens;
  bool good = ids->is_array();
  for (size_t i = 0; good && i < ids->size(); ++i) {
    const Json& id = (*ids)[i];
    good = id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX;
    if (good) tokens.push_back(id.get<int32_t>());
  }
  if (!good) {
    fail(ErrorCode::kInvalidArgument,
         "{} is not a list of token ids, give JSON such as [1, 2, 3] or {{\"tokens\": [1, 2, 3]}}",
         path);
  }
  return tokens;
}

void catch_interrupts(bool keep_running) {
  second_interrupt_ends = !keep_running;
  if (wake_fd < 0) wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;  // a write to the terminal is no failure because of it
  sigaction(SIGINT, &action, nullptr);
  if (!keep_running) sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_seen.load(); }
int interrupt_fd() { return wake_fd; }

void reset_interrupt() {
  interrupt_seen.store(false);
  eventfd_t ignored = 0;
  eventfd_read(wake_fd, &ignored);
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Json rows_json(const RowsReport& rows) {
  return {{"read", rows.read}, {"total", rows.total}, {"share", rows.share()}};
}

std::string rows_text(const RowsReport& rows) {
  return fmt::format("read {:.1f} % of the cache rows", 100 * rows.share());
}

}  // namespace tidal::cli
