// OutputFile: a file that receives its whole content or keeps what it had.
//
// A regular file, or one that does not exist yet, is replaced by commit(): the content is written
// beside it and renamed, so that a failure or Ctrl-C leaves the old content. Symbolic links are
// followed, and the new file has the old one's permissions. Everything else is written through
// directly: pipes, terminals and devices, the file that standard output or standard error goes to,
// and a file in a folder where no file can be created.
// The constructor finds out whether writing is possible: create it before the work whose result it
// receives. Throws Error(kIo) naming the path.
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
  std::string target_;  // the path after following links
  std::string beside_;  // the temporary file; empty: not opened, or written through
  bool through_ = false;
  bool empties_ = false;  // before the first write
  int fd_ = -1;
};

// Whether the path exists and can only be written through.
bool is_stream(const std::string& path);

// Writes all of the text; returns the errno of a failure, or 0.
int write_all(int fd, std::string_view text);

}  // namespace tidal
