// The commands of `tidal`: each is a file under commands/ that adds itself to the CLI::App and
// leaves its work to run after parsing. Results go to stdout, everything else to stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>

namespace tidal::cli {

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

// Each adds one command.
void add_generate(CLI::App& app, Work& work);
void add_chat(CLI::App& app, Work& work);
void add_inspect(CLI::App& app, Work& work);
void add_tokenize(CLI::App& app, Work& work);
void add_bench(CLI::App& app, Work& work);
void add_eval(CLI::App& app, Work& work);
void add_calibrate(CLI::App& app, Work& work);
void add_document(CLI::App& app, Work& work);

}  // namespace tidal::cli
