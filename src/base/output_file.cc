#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/fail.h"

namespace tidal {
namespace {

namespace fs = std::filesystem;

bool same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Standard output or error, if that is where the file goes; else -1.
int standard_descriptor(const struct stat& file) {
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    struct stat standard {};
    if (::fstat(fd, &standard) == 0 && same(file, standard)) return fd;
  }
  return -1;
}

// Where the links lead, whether or not a file exists there.
std::string behind_links(const std::string& path) {
  constexpr int kMaxLinks = 40;
  std::error_code error;
  fs::path target = path;
  for (int i = 0; i < kMaxLinks && fs::is_symlink(target, error); ++i) {
    const fs::path next = fs::read_symlink(target, error);
    if (error) break;
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  return target.string();
}

// A pipe without a reader is refused, but first given time for one to appear.
int open_stream(const std::string& path) {
  constexpr int kTries = 20;
  for (int i = 0;; ++i) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
      ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
      return fd;
    }
    if (errno != ENXIO || i == kTries) return -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

bool is_stream(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISDIR(info.st_mode)) return false;
  return !S_ISREG(info.st_mode) || standard_descriptor(info) >= 0;
}

OutputFile::OutputFile(std::string path) : path_(std::move(path)), target_(behind_links(path_)) {
  struct stat info {};
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  if (!exists && errno != ENOENT) give_up(errno);
  if (exists && S_ISDIR(info.st_mode)) give_up(EISDIR);
  if (is_stream(path_)) {
    const int standard = standard_descriptor(info);
    fd_ = standard >= 0 ? ::dup(standard) : open_stream(path_);
    through_ = true;
    if (fd_ < 0) give_up(errno);
    return;
  }
  if (exists && ::faccessat(AT_FDCWD, path_.c_str(), W_OK, AT_EACCESS) != 0) give_up(errno);
  const std::string folder = fs::path(target_).parent_path().string();
  struct stat behind {};
  const bool known = !exists || (::stat(target_.c_str(), &behind) == 0 && same(info, behind));
  if (known &&
      ::faccessat(AT_FDCWD, folder.empty() ? "." : folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0) {
    return;
  }
  if (!exists) give_up(errno);
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  through_ = empties_ = true;
  if (fd_ < 0) give_up(errno);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!beside_.empty()) ::unlink(beside_.c_str());
}

void OutputFile::give_up(int error) const {
  fail(ErrorCode::kIo, "cannot write {}: {}", path_,
       error == ENXIO ? "nobody reads from it" : std::strerror(error));
}

void OutputFile::open_beside() {
  if (through_ || fd_ >= 0) return;
  beside_ = fmt::format("{}.{}.part", target_, getpid());
  fd_ = ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) give_up(errno);
  struct stat info {};
  if (::stat(target_.c_str(), &info) == 0) ::fchmod(fd_, info.st_mode & 07777);
}

void OutputFile::write(std::string_view text) {
  open_beside();
  if (through_) std::fflush(stdout);  // which may be the same file
  if (empties_ && ::ftruncate(fd_, 0) != 0) give_up(errno);
  empties_ = false;
  if (const int error = write_all(fd_, text); error != 0) give_up(error);
}

void OutputFile::commit() {
  write("");
  if (::close(std::exchange(fd_, -1)) != 0) give_up(errno);
  if (through_) return;
  if (std::rename(beside_.c_str(), target_.c_str()) != 0) {
    if (errno != EBUSY) give_up(errno);
    // A file that is itself a mount point, as in containers, cannot be renamed over.
    std::error_code error;
    fs::copy_file(beside_, target_, fs::copy_options::overwrite_existing, error);
    if (error) give_up(error.value());
    ::unlink(beside_.c_str());
  }
  beside_.clear();
}

}  // namespace tidal
