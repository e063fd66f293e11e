#include "cli/flags.h"

#include <fmt/format.h>

#include <charconv>

#include "base/log.h"

namespace tidal::cli {
namespace {

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

std::string type_name(const Option& row) {
  switch (row.type) {
    case OptionType::kInteger:
      return "INT";
    case OptionType::kNumber:
      return "FLOAT";
    case OptionType::kChoice:
      return "{" + row.range + "}";
    default:
      return "TEXT";
  }
}

void add_row(CLI::App& app, const Option& row, Options& options) {
  const std::string group(option_group_name(row.group));
  if (row.type == OptionType::kSwitch) {
    app.add_flag_callback(
           row.flags, [&] { row.assign(options, "true"); }, row.help)
        ->group(group);
    return;
  }
  const std::string value = row.value(options);
  const std::string help =
      value.empty() ? fmt::format("{} (default: {})", row.help, row.default_text) : row.help;
  app.add_option_function<std::vector<std::string>>(
         row.flags,
         [&](const std::vector<std::string>& values) {
           for (const std::string& text : values) row.assign(options, text);
         },
         help)
      ->group(group)
      ->type_name(type_name(row))
      ->check(taken_by(row))
      ->default_str(value)
      ->allow_extra_args(false)
      ->expected(1)
      ->multi_option_policy(row.type == OptionType::kTexts ? CLI::MultiOptionPolicy::TakeAll
                                                           : CLI::MultiOptionPolicy::Throw);
}

// Rows that commands which compare have as lists of their own.
bool is_compared(const Option& row) {
  return row.name == "method" || row.name == "plan" || row.name == "budget";
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

CLI::Validator seed_number() { return whole_number(0, INT64_MAX); }

CLI::Validator taken_by(const Option& row) {
  return CLI::Validator([&row](std::string& text) { return row.complaint(text); }, "");
}

void add_output_flags(CLI::App& app, ModelFlags& flags) {
  app.add_flag("--json", flags.json, "One JSON object on stdout and nothing else");
  app.add_flag_callback(
      "-v,--verbose", [] { init_logging(true); }, "More on stderr");
}

void add_options(CLI::App& app, OptionGroup group, Options& options) {
  for (const Option& row : option_table()) {
    if (row.group == group && !row.flags.empty()) add_row(app, row, options);
  }
}

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  add_options(app, OptionGroup::kModel, flags);
  add_output_flags(app, flags);
}

void add_compared_method_flags(CLI::App& app, ModelFlags& flags, std::vector<std::string>& methods,
                               std::vector<std::string>& plans, std::vector<std::string>& budgets) {
  app.add_option("--method,--methods", methods,
                 "What decode steps read: full, tidal, quest, window, oracle, one or several "
                 "(default: tidal)")
      ->group(kMethodGroup)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(taken_by(find_option("method")));
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
      ->check(taken_by(find_option("budget")));
  for (const Option& row : option_table()) {
    if (row.group == OptionGroup::kAttention && !is_compared(row)) add_row(app, row, flags);
  }
}

}  // namespace tidal::cli
