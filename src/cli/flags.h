// The flags that commands share, and the checks of their values.
//
// A check refuses a value with a message that names the flag and what it takes; the program then
// ends with kExitUsage.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/option_table.h"

namespace tidal::cli {

// Whole numbers in decimal digits; nothing is rounded or cut to fit. The default is more tokens
// than any cache holds, and small enough to be added and multiplied.
inline constexpr int64_t kMaxCount = INT32_MAX;
CLI::Validator whole_number(int64_t least, int64_t most = kMaxCount);
CLI::Validator seed_number();  // 0 to INT64_MAX
// What the option's row takes.
CLI::Validator taken_by(const Option& row);

// Options every command with a model shares.
struct ModelFlags : Options {
  bool json = false;
};

void add_output_flags(CLI::App& app, ModelFlags& flags);
void add_model_flags(CLI::App& app, ModelFlags& flags);  // includes the output flags
// The rows of the option table that have flags, with what the options hold as defaults.
void add_options(CLI::App& app, OptionGroup group, Options& options);
// Those about attention for commands that compare: lists of methods and budgets, a plan as often as
// wanted.
void add_compared_method_flags(CLI::App& app, ModelFlags& flags, std::vector<std::string>& methods,
                               std::vector<std::string>& plans, std::vector<std::string>& budgets);

}  // namespace tidal::cli
