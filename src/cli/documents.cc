#include "cli/documents.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "runtime/option_table.h"
#include "tidal/version.h"

namespace tidal::cli {
namespace {

constexpr OptionGroup kGroups[] = {OptionGroup::kModel, OptionGroup::kAttention,
                                   OptionGroup::kDrafting, OptionGroup::kGeneration};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string python_type(const Option& option) {
  switch (option.type) {
    case OptionType::kInteger:
      return "int";
    case OptionType::kNumber:
      return "float";
    case OptionType::kSwitch:
      return "bool";
    case OptionType::kTexts:
      return "str | Sequence[str]";
    case OptionType::kText:
    case OptionType::kChoice:
      return option.name == "budget" ? "str | int" : "str";
  }
  return "str";
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

// "--method -m" of every option of a command.
std::string flags_of(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
  }
  return fmt::format("{}", fmt::join(flags, " "));
}

// The words that may follow a command, for each of them.
void add_words(const CLI::App& app, const std::string& path, std::string& text) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands_of(app)) names.push_back(command->get_name());
  text += fmt::format("    '{}') words='{}{}{}' ;;\n", path, fmt::join(names, " "),
                      names.empty() ? "" : " ", flags_of(app));
  for (const CLI::App* command : commands_of(app)) {
    add_words(*command, path.empty() ? command->get_name() : path + " " + command->get_name(),
              text);
  }
}

std::string troff(std::string_view text) {
  std::string result = replaced(replaced(std::string(text), "\\", "\\e"), "-", "\\-");
  return result.starts_with('.') || result.starts_with('\'') ? "\\&" + result : result;
}

void add_man_options(OptionGroup group, std::string& text) {
  text += fmt::format(".SS {}\n", option_group_name(group));
  for (const Option& option : option_table()) {
    if (option.group != group || option.flags.empty()) continue;
    text += fmt::format(".TP\n.BR {}\n{}: {}. Default: {}.\n",
                        troff(replaced(option.flags, ",", " \", \" ")), troff(option.help),
                        troff(option.range), troff(option.default_text));
  }
}

void add_man_commands(const CLI::App& app, const std::string& path, std::string& text) {
  for (const CLI::App* command : commands_of(app)) {
    const std::string name = path + command->get_name();
    text += fmt::format(".TP\n.B tidal {}\n{}\n", name, troff(command->get_description()));
    if (!command->get_footer().empty()) {
      text += fmt::format(".br\n{}\n", troff(command->get_footer()));
    }
    add_man_commands(*command, name + " ", text);
  }
}

}  // namespace

std::string options_markdown() {
  std::string text =
      "# Options\n"
      "Made from `src/runtime/option_table.cc` by `scripts/make-documents`. The command line takes "
      "the flag; C\n(`tidal_options_set`) and Python (keywords) take the name, which is that of "
      "the member in `tidal/options.h` and\n`tidal/engine.h`.\n";
  for (const OptionGroup group : kGroups) {
    text += fmt::format(
        "\n## {}\n| option | flag | value | default | meaning |\n"
        "|---|---|---|---|---|\n",
        option_group_name(group));
    for (const Option& option : option_table()) {
      if (option.group != group) continue;
      const std::string flags =
          option.flags.empty() ? "" : fmt::format("`{}`", replaced(option.flags, ",", "` `"));
      text += fmt::format("| `{}` | {} | {} | {} | {} |\n", option.name, flags, option.range,
                          option.default_text, option.help);
    }
  }
  return text;
}

std::string options_python() {
  std::string text =
      "\"\"\"Keywords of engines and requests; docs/options.md explains them. Made by "
      "scripts/make-documents.\"\"\"\n\n"
      "from __future__ import annotations\n\n"
      "from collections.abc import Sequence\n"
      "from typing import TypedDict\n";
  const auto add_class = [&text](const char* head, bool model) {
    text += fmt::format("\n\n{}\n", head);
    for (const Option& option : option_table()) {
      if (option.name == "model" || (option.group == OptionGroup::kModel) != model) continue;
      text += fmt::format("    {}: {}  # {}\n", option.name, python_type(option), option.range);
    }
  };
  add_class("class RequestOptions(TypedDict, total=False):", false);
  add_class("class EngineOptions(RequestOptions, total=False):", true);
  return text;
}

std::string bash_completion(const CLI::App& app) {
  std::string words;
  add_words(app, "", words);
  std::string values;
  for (const Option& option : option_table()) {
    if (option.type != OptionType::kChoice || option.flags.empty()) continue;
    values += fmt::format("    {}) words='{}' ;;\n", replaced(option.flags, ",", "|"),
                          replaced(option.range, ",", ""));
  }
  return fmt::format(
      "# Completion of tidal's commands and flags in bash. Made by scripts/make-documents.\n"
      "_tidal() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}\n"
      "  local words='' command='' i\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    [[ ${{COMP_WORDS[i]}} == -* ]] && break\n"
      "    command+=${{command:+ }}${{COMP_WORDS[i]}}\n"
      "  done\n"
      "  case $previous in\n{}  esac\n"
      "  [[ -n $words ]] || case $command in\n{}  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
      "}}\n"
      "complete -o default -F _tidal tidal\n",
      values, words);
}

std::string man_page(const CLI::App& app) {
  std::string text = fmt::format(
      ".\\\" Made by scripts/make-documents.\n"
      ".TH TIDAL 1 \"\" \"tidal {}\"\n"
      ".SH NAME\ntidal \\- decode long contexts with position persistent sparse attention\n"
      ".SH SYNOPSIS\n.B tidal\n.I COMMAND\n.RI [ OPTION ...]\n.br\n.B tidal\n.I COMMAND\n"
      ".B \\-\\-help\n"
      ".SH COMMANDS\n",
      TIDAL_VERSION);
  add_man_commands(app, "", text);
  text +=
      ".SH OPTIONS\nCommands with a model share these; \\-\\-help of a command lists its own.\n";
  for (const OptionGroup group : kGroups) add_man_options(group, text);
  text +=
      ".SH ENVIRONMENT\n"
      ".TP\n.B TIDAL_THREADS\nThreads where \\-\\-threads gives none.\n"
      ".TP\n.B TIDAL_LOG\nWhat is logged: trace, debug, info, warn, error.\n"
      ".TP\n.B TIDAL_FORCE_TARGET\nInstruction set of the cpu back end, e.g. avx2.\n"
      ".SH EXIT STATUS\n"
      "0 done; 1 the work failed; 2 bad usage; 130 ended by Ctrl\\-C, with what was done "
      "printed.\n";
  return text;
}

}  // namespace tidal::cli
