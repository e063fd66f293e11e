// The flags that commands share, and the checks of their values.
//
// A check refuses a value with a message that names the flag and what it takes; the program then
// ends with kExitUsage.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tidal/options.h"

namespace tidal::cli {

// Whole numbers in decimal digits; nothing is rounded or cut to fit. The default is more tokens
// than any cache holds, and small enough to be added and multiplied.
inline constexpr int64_t kMaxCount = INT32_MAX;
CLI::Validator whole_number(int64_t least, int64_t most = kMaxCount);
CLI::Validator whole_number_or_all();  // 1 to kMaxCount, or -1
CLI::Validator seed_number();          // 0 to INT64_MAX
// Numbers that are good, also once they are rounded to a float.
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

}  // namespace tidal::cli
