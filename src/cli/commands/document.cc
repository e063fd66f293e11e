// tidal document NAME: prints a document that is made from the options and commands. Not listed.

#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/documents.h"
#include "cli/output.h"

namespace tidal::cli {
namespace {

std::string document(const CLI::App& app, const std::string& name) {
  if (name == "options") return options_markdown();
  if (name == "python") return options_python();
  return name == "bash" ? bash_completion(app) : man_page(app);
}

}  // namespace

void add_document(CLI::App& app, Work& work) {
  auto name = std::make_shared<std::string>("options");
  CLI::App* command = app.add_subcommand("document", "Print a document made from the options");
  command->group("");
  command->add_option("name", *name, "options, python, bash or man")
      ->check(CLI::IsMember({"options", "python", "bash", "man"}));
  command->callback([name, &app, &work] {
    work = [name, &app] {
      put_text(document(app, *name));
      return kExitDone;
    };
  });
}

}  // namespace tidal::cli
