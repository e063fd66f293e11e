#include "base/replace_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/fail.h"

namespace tidal {

void replace_file(const std::string& path, std::string_view content) {
  const std::string beside = fmt::format("{}.{}.part", path, getpid());
  const auto give_up = [&] {
    const int reason = errno;
    std::error_code ignored;
    std::filesystem::remove(beside, ignored);
    fail(ErrorCode::kIo, "cannot write {}: {}", path, std::strerror(reason));
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    errno = EISDIR;
    give_up();
  }
  std::ofstream file(beside, std::ios::binary);
  if (!file) give_up();
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) give_up();
  if (std::rename(beside.c_str(), path.c_str()) != 0) give_up();
}

}  // namespace tidal
