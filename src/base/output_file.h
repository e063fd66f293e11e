// OutputFile: a file that gets its whole content or keeps what it had.
//
// A regular file, or one that is not there yet, is replaced by commit(): the content is written
// beside it and renamed, so that a failure or Ctrl-C leaves what was there. Symbolic links are
// followed, and the new file has the old one's permissions. Everything else is written through as
// it comes: pipes, terminals and devices, the file that standard output or standard error goes to,
// and a file in a folder that takes no new ones.
// The constructor finds out whether any of this can be done: make one before the work whose result
// it takes. Throws Error(kIo) that names the path.
#pragma once

#include <string>
#include <string_view>

namespace tidal {

class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();  // what has not been committed is dropped
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::string& path() const { return path_; }
  void write(std::string_view text);
  void commit();

 private:
  [[noreturn]] void give_up(int error) const;
  void open_beside();

  std::string path_;
  std::string target_;  // the path behind links
  std::string beside_;  // empty: not opened, or written through
  bool through_ = false;
  bool empties_ = false;  // before the first write
  int fd_ = -1;
};

// Whether there is something at the path that can only be written through.
bool is_stream(const std::string& path);

// All of the text; returns errno of what went wrong, or 0.
int write_all(int fd, std::string_view text);

}  // namespace tidal
