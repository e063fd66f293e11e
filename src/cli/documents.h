// Documents made from the option table and from the commands: what `tidal document NAME` prints,
// and scripts/make-documents keeps in the repository.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace tidal::cli {

std::string options_markdown();                    // docs/options.md
std::string options_python();                      // python/tidal/_options.py
std::string bash_completion(const CLI::App& app);  // share/tidal.bash
std::string man_page(const CLI::App& app);         // share/tidal.1

}  // namespace tidal::cli
