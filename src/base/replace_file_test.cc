#include "base/replace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tidal/error.h"

namespace tidal {
namespace {

namespace fs = std::filesystem;

class ReplaceFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / "tidal_replace_file_test";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }
  fs::path folder_;
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
}  // namespace tidal
