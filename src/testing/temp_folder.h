// TempFolder: an empty folder of a test's own, removed with what is in it at the end.
//
// Its name is never used twice, so tests may run at the same time, and so may whole suites.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tidal::test {

class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string string() const { return path_.string(); }
  // The path of a file in it, which need not be there.
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  // Writes these bytes to a file in it and returns its path.
  std::string write(const std::string& name, std::string_view bytes) const;
  size_t count() const;  // entries in it

 private:
  std::filesystem::path path_;
};

}  // namespace tidal::test
