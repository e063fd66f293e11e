#include "testing/temp_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace tidal::test {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
  std::string pattern = testing::TempDir() + "/tidal_XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no folder " + pattern);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, std::string_view bytes) const {
  std::string path = file(name);
  std::ofstream stream(path, std::ios::binary);
  stream << bytes;
  if (!stream.flush()) throw std::runtime_error("cannot write " + path);
  return path;
}

size_t TempFolder::count() const {
  return static_cast<size_t>(std::distance(fs::directory_iterator(path_), {}));
}

}  // namespace tidal::test
