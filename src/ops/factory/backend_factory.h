// Back ends by name: the one list of them, from which flags, messages and test suites are fed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops/backend.h"

namespace tidal {

using MakeBackend = std::unique_ptr<Backend> (*)(int n_threads);

// Adds one to this program's, before anybody asks, or takes the place of the one with that name:
// how a program brings a back end of its own. Always true, to be called where a static variable is
// made.
bool add_backend(std::string_view name, MakeBackend make);

// Of all back ends in this program, the default one first.
std::vector<std::string> backend_names();

// n_threads: of back ends that run on this machine's cores. Throws Error(kUnsupported) that names
// what there is.
std::unique_ptr<Backend> make_backend(std::string_view name, int n_threads);

}  // namespace tidal
