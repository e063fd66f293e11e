// Where the data of tests lies.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace tidal::test {

std::string data_path(const std::string& name);  // tests/data/NAME of the source tree
// Public vocabularies, small models and texts that are not in the repository; tests that need one
// skip without it.
std::string shared_path(const std::string& name);
inline std::string shared_model(const std::string& name) { return shared_path("models/" + name); }
std::string smollm2_path();  // what scripts/get-model brings

#define TIDAL_SKIP_WITHOUT(path)                    \
  do {                                              \
    if (!std::filesystem::exists(path)) {           \
      GTEST_SKIP() << "needs a file at " << (path); \
    }                                               \
  } while (false)

}  // namespace tidal::test
