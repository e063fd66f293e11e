// What the commands of `tidal` share: options of a model, output, Ctrl-C, exit statuses.
//
// A command is a file that registers itself on the CLI::App and leaves its work to run later.
// Results go to stdout, everything else to stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tidal/engine.h"
#include "tidal/options.h"

namespace tidal::cli {

using Json = nlohmann::ordered_json;

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

// The work of the command that was chosen; its result is the exit status.
using Work = std::function<int()>;

// Flags that do not go together; ends with kExitUsage.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Checks of flag values, with messages that name the flag and what it takes.
CLI::Validator whole_number(int64_t least, int64_t most = INT64_MAX);
CLI::Validator number(std::string wanted, bool (*good)(double));
CLI::Validator positive_number();
CLI::Validator method_name();

// Options every command with a model shares.
struct ModelFlags {
  EngineOptions engine;
  MethodOptions method;
  bool json = false;
};

void add_output_flags(CLI::App& app, ModelFlags& flags);
void add_model_flags(CLI::App& app, ModelFlags& flags);  // includes the output flags
void add_method_flags(CLI::App& app, ModelFlags& flags);
// The same for commands that compare: lists of methods and budgets, a plan as often as wanted.
void add_compared_method_flags(CLI::App& app, ModelFlags& flags, std::vector<std::string>& methods,
                               std::vector<std::string>& plans, std::vector<std::string>& budgets);

// Each adds one command.
void add_generate(CLI::App& app, Work& work);
void add_chat(CLI::App& app, Work& work);
void add_inspect(CLI::App& app, Work& work);
void add_tokenize(CLI::App& app, Work& work);
void add_bench(CLI::App& app, Work& work);
void add_eval(CLI::App& app, Work& work);
void add_calibrate(CLI::App& app, Work& work);

// The model that was asked for, or the default one in the user's cache folder. Throws Error that
// says how to get it.
std::string model_path(const std::string& given);

// A whole file, or standard input for "-".
std::string read_text(const std::string& path);
// A JSON array of token ids, or an object with "tokens".
std::vector<int32_t> read_tokens(const std::string& path);

// Ctrl-C: once caught, interrupted() holds until reset; a second one before that ends the program
// at once, unless `keep_running` (then only SIGINT is caught).
void catch_interrupts(bool keep_running = false);
bool interrupted();
void reset_interrupt();
int interrupt_fd();  // for poll() after a look at interrupted(): readable when it comes

// JSON holds Unicode only: bytes that are none come out as U+FFFD.
std::string dump(const Json& json);

Json rows_json(const RowsReport& rows);
std::string rows_text(const RowsReport& rows);  // "read 12.3 % of the cache rows"

}  // namespace tidal::cli
