#include "base/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "testing/error.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public testing::Test {
 protected:
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void replace(const fs::path& path, std::string_view content) {
    OutputFile file(path.string());
    file.write(content);
    file.commit();
  }
  const TempFolder temp_;
  const fs::path folder_ = temp_.path();
};

TEST_F(OutputFileTest, WritesAndReplaces) {
  const fs::path path = folder_ / "a.json";
  replace(path, "one");
  EXPECT_EQ(read(path), "one");
  replace(path, "");
  EXPECT_EQ(read(path), "");
  EXPECT_EQ(temp_.count(), 1u);
}

TEST_F(OutputFileTest, LeavesWhatWasThereUntilCommitted) {
  const fs::path path = temp_.write("a.json", "old");
  {
    OutputFile file(path.string());
    EXPECT_EQ(temp_.count(), 1u);
    file.write("new");
    EXPECT_EQ(read(path), "old");
  }
  EXPECT_EQ(read(path), "old");
  EXPECT_EQ(temp_.count(), 1u);
}

TEST_F(OutputFileTest, NamesThePathItCannotWriteBeforeTheWork) {
  for (const fs::path& path : {folder_ / "none" / "a.json", folder_}) {
    expect_error(ErrorCode::kIo, {path.string()}, [&] { OutputFile file(path.string()); });
  }
  EXPECT_EQ(temp_.count(), 0u);
}

TEST_F(OutputFileTest, KeepsThePermissions) {
  const fs::path path = temp_.write("a.json", "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  replace(path, "new");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(OutputFileTest, FollowsLinks) {
  temp_.write("target.json", "old");
  fs::create_symlink("target.json", folder_ / "link.json");
  fs::create_symlink(folder_ / "link.json", folder_ / "second.json");
  replace(folder_ / "second.json", "new");
  EXPECT_EQ(read(folder_ / "target.json"), "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "second.json"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "link.json"));
  fs::create_symlink("missing.json", folder_ / "dangling.json");
  replace(folder_ / "dangling.json", "made");
  EXPECT_EQ(read(folder_ / "missing.json"), "made");
}

TEST_F(OutputFileTest, WritesThroughPipesAndDevices) {
  const std::string pipe = temp_.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(is_stream(pipe));
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  replace(pipe, "through");
  char content[16] = {};
  EXPECT_EQ(::read(reader, content, sizeof(content)), 7);
  EXPECT_STREQ(content, "through");
  ::close(reader);
  EXPECT_TRUE(fs::is_fifo(pipe));
  expect_error(ErrorCode::kIo, {pipe, "nobody reads"}, [&] { OutputFile file(pipe); });
  replace("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  expect_error(ErrorCode::kIo, {"/dev/full", "No space left"},
               [&] { replace("/dev/full", "one"); });
}

}  // namespace
}  // namespace tidal::test
