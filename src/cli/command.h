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

// The list of commands, in the order of --help: foo.cc has add_foo().
#define TIDAL_COMMANDS(COMMAND) \
  COMMAND(generate)             \
  COMMAND(chat)                 \
  COMMAND(serve)                \
  COMMAND(inspect)              \
  COMMAND(tokenize)             \
  COMMAND(bench)                \
  COMMAND(eval)                 \
  COMMAND(calibrate)            \
  COMMAND(document)

#define TIDAL_DECLARE(name) void add_##name(CLI::App& app, Work& work);
TIDAL_COMMANDS(TIDAL_DECLARE)
#undef TIDAL_DECLARE

}  // namespace tidal::cli
