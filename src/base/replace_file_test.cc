#include "base/replace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "testing/temp_folder.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

namespace fs = std::filesystem;

class ReplaceFile : public testing::Test {
 protected:
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t files() const { return temp_.count(); }
  const TempFolder temp_;
  const fs::path folder_ = temp_.path();
};

TEST_F(ReplaceFile, WritesAndOverwrites) {
  const fs::path path = folder_ / "a.json";
  replace_file(path.string(), "one");
  EXPECT_EQ(read(path), "one");
  replace_file(path.string(), "");
  EXPECT_EQ(read(path), "");
  EXPECT_EQ(files(), 1u);
}

TEST_F(ReplaceFile, NamesThePathItCannotWrite) {
  for (const fs::path& path : {folder_ / "none" / "a.json", folder_}) {
    try {
      replace_file(path.string(), "one");
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo);
      EXPECT_THAT(error.what(), testing::HasSubstr(path.string()));
    }
  }
  EXPECT_EQ(files(), 0u);
}

}  // namespace
}  // namespace tidal::test
