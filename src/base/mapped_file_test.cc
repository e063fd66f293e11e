#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "testing/temp_folder.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using testing::HasSubstr;

class MappedFileTest : public testing::Test {
 protected:
  std::string write(const std::string& name, std::string_view text) const {
    return temp_.write(name, text);
  }

  static std::optional<ErrorCode> code_of(const std::string& path) {
    try {
      MappedFile file(path);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path));
      return error.code();
    }
    ADD_FAILURE() << path << " was opened";
    return std::nullopt;
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.string();
};

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST_F(MappedFileTest, ShowsTheBytesOfTheFile) {
  const std::string path = write("a", "twelve bytes");
  MappedFile file(path);
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(text_of(file), "twelve bytes");
}

TEST_F(MappedFileTest, MovesItsMapping) {
  MappedFile a(write("a", "first"));
  const std::byte* data = a.bytes().data();
  MappedFile b(std::move(a));
  EXPECT_EQ(b.bytes().data(), data);
  b = MappedFile(write("b", "second"));
  EXPECT_EQ(text_of(b), "second");
}

TEST_F(MappedFileTest, OutlivesTheNameOfItsFile) {
  const std::string path = write("a", "still here");
  MappedFile file(path);
  std::filesystem::remove(path);
  EXPECT_EQ(text_of(file), "still here");
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  EXPECT_TRUE(MappedFile(write("empty", "")).bytes().empty());
}

TEST_F(MappedFileTest, SaysWhyItCannotOpen) {
  EXPECT_EQ(code_of(folder_ + "/absent"), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(folder_), ErrorCode::kIo);
  EXPECT_EQ(code_of("/dev/null"), ErrorCode::kIo);
  const std::string pipe = folder_ + "/pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code_of(pipe), ErrorCode::kIo);
}

TEST_F(MappedFileTest, NamesAFileItMayNotRead) {
  const std::string path = write("locked", "secret");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  const bool root = ::geteuid() == 0;  // root may read every file
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const auto code = code_of(path);
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(code, ErrorCode::kIo);
}

}  // namespace
}  // namespace tidal::test
