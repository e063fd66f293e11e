// A whole file mapped read-only. Movable, owns the mapping. Throws Error(kNotFound | kIo) naming
// the path if it cannot be opened, is a folder, or cannot be mapped. An empty file maps to no
// bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace tidal {

class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Lets the operating system take back the memory of whole pages within bytes of a MappedFile; the
// next read fetches them from the file again. Any thread may be reading them.
void release_pages(std::span<const std::byte> bytes);

}  // namespace tidal
