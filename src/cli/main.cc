#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "cli/command.h"
#include "cli/output.h"
#include "tidal/version.h"

namespace tidal::cli {
namespace {

// llama.cpp spells these with one dash, which CLI11 would take for short flags, or another way.
std::string long_name(const std::string& argument) {
  if (argument == "-ctk") return "--cache-type-k";
  if (argument == "-ctv") return "--cache-type-v";
  if (argument == "-sys") return "--system-prompt";
  if (argument == "-np") return "--parallel";
  if (argument == "--n-predict") return "--predict";
  return argument;
}

// A descriptor that the caller closed would be given to the first file opened, and results, remarks
// or questions would go there. Reading a stand-in gives nothing; writing to standard output's
// fails.
void hold_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    const int stand_in = open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
    if (stand_in >= 0 && stand_in != fd) {
      dup2(stand_in, fd);
      close(stand_in);
    }
  }
}

int bad_usage(const CLI::App& app, std::string_view message) {
  std::string command = app.get_name();
  const CLI::App* level = &app;
  while (!level->get_subcommands().empty()) {
    level = level->get_subcommands().front();
    command += " " + level->get_name();
  }
  note_error(fmt::format("{}; see {} --help", message, command));
  return kExitUsage;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  return names;
}

std::string missing_command(const CLI::App& app) {
  const CLI::App* level = &app;
  while (!level->get_subcommands().empty()) level = level->get_subcommands().front();
  return fmt::format("give a command: {}", fmt::join(command_names(*level), ", "));
}

// The word that stands where a command should and is not one, at this level or below; empty if all
// is well.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& words) {
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  if (words.empty() || commands.empty() || words.front().starts_with('-')) return {};
  const auto found = std::find_if(commands.begin(), commands.end(), [&](const CLI::App* command) {
    return command->get_name() == words.front();
  });
  if (found != commands.end()) return unknown_command(**found, {words.begin() + 1, words.end()});
  return fmt::format("unknown command '{}'; {} has: {}", words.front(), app.get_name(),
                     fmt::join(command_names(app), ", "));
}

int finish_output(int status) {
  flush_output();
  if (output_error() == 0) return status;
  note_error(
      fmt::format("cannot write the result to standard output: {}", std::strerror(output_error())));
  return kExitFailed;
}

// --help and --version.
int show(const CLI::App& app, const CLI::ParseError& request) {
  std::ostringstream out;
  app.exit(request, out, out);
  put_text(out.str());
  return finish_output(kExitDone);
}

int run(const std::vector<std::string>& words) {
  CLI::App app(
      "tidal: decode long contexts fast with position persistent sparse attention.\n"
      "Example: tidal generate -f report.txt -p 'Summarize the text above.' --chat",
      "tidal");
  app.set_version_flag("--version", std::string("tidal " TIDAL_VERSION));
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Work work;
#define TIDAL_ADD(name) add_##name(app, work);
  TIDAL_COMMANDS(TIDAL_ADD)
#undef TIDAL_ADD

  const std::string unknown = unknown_command(app, words);
  if (!unknown.empty()) return bad_usage(app, unknown);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    return finish_output(work());
  } catch (const CLI::RequiredError&) {  // no option is required, commands are
    return bad_usage(app, missing_command(app));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return show(app, error);
    return bad_usage(app, error.what());
  } catch (const UsageError& error) {
    return bad_usage(app, error.what());
  }
}

}  // namespace
}  // namespace tidal::cli

int main(int argc, char** argv) {
  using namespace tidal::cli;
  hold_standard_descriptors();
  signal(SIGPIPE, SIG_IGN);  // see output.cc
  tidal::init_logging(false);
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) words.push_back(long_name(argv[i]));
  try {
    return run(words);
  } catch (const std::bad_alloc&) {
    note_error("not enough memory for the model and its cache, try a smaller --ctx-size");
  } catch (const std::length_error&) {
    note_error("not enough memory for the model and its cache, try a smaller --ctx-size");
  } catch (const std::exception& error) {
    note_error(message_of(error));
  }
  return kExitFailed;
}
