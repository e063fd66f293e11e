// Back ends by name: the single list of them, which flags, messages and test suites use.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops/backend.h"

namespace tidal {

using MakeBackend = std::unique_ptr<Backend> (*)(int n_threads);

// Adds a back end to this program, before anyone asks, or replaces the one with that name: how a
// program brings its own. Always returns true, so that it can initialise a static variable.
bool add_backend(std::string_view name, MakeBackend make);

// All back ends in this program, the default first.
std::vector<std::string> backend_names();

// n_threads: for back ends that run on this machine's cores. Throws Error(kUnsupported) naming the
// available ones.
std::unique_ptr<Backend> make_backend(std::string_view name, int n_threads);

}  // namespace tidal
