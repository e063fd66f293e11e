#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/command.h"
#include "tidal/error.h"

namespace {

// llama.cpp spells these with one dash, which CLI11 would take for three short flags.
std::string long_name(const std::string& argument) {
  if (argument == "-ctk") return "--cache-type-k";
  if (argument == "-ctv") return "--cache-type-v";
  if (argument == "-sys") return "--system-prompt";
  return argument;
}

int run(int argc, char** argv) {
  using namespace tidal::cli;
  CLI::App app(
      "tidal: decode long contexts fast with position persistent sparse attention.\n"
      "Example: tidal generate -f report.txt -p 'Summarize the text above.' --chat",
      "tidal");
  app.set_version_flag("--version", std::string("tidal " TIDAL_VERSION));
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Work work;
  add_generate(app, work);
  add_chat(app, work);
  add_inspect(app, work);
  add_tokenize(app, work);
  add_bench(app, work);
  add_eval(app, work);

  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) arguments.push_back(long_name(argv[i]));
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  return work();
}

}  // namespace

int main(int argc, char** argv) {
  tidal::init_logging(false);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return tidal::cli::kExitFailed;
  }
}
