// The tensors of a Hugging Face checkpoint: one .safetensors file, or several with an index.
//
// open() takes a folder (model.safetensors, else model.safetensors.index.json), a .safetensors file
// or an index file; it maps the files and keeps them mapped, and TensorInfo pointers live as long
// as the object (moving keeps them valid). Reading is thread-safe. Headers are checked in full
// against the files' real sizes: Error(kCorrupt | kUnsupported | kNotFound | kIo) names file and
// field. A tensor whose size can be verified but that tidal does not read (I64, F8_E4M3, more than
// four dimensions) is an Error(kUnsupported) only when requested; an unknown type, whose size
// cannot be verified, fails open().
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "files/model_file.h"

namespace tidal {

// A well-formed tensor that cannot be read, and why.
struct UnsupportedTensor {
  std::string name;
  std::string reason;
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in the order of their data
  std::vector<UnsupportedTensor> unsupported;
};

// One file from memory; TensorInfo::data points into `bytes`, `name` is for error messages.
SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

class SafetensorsFolder {
 public:
  static SafetensorsFolder open(const std::string& path);

  const std::string& path() const { return path_; }
  std::span<const TensorInfo> tensors() const { return tensors_; }  // readable ones, by name
  // Null when absent; Error(kUnsupported) if present with a type or shape tidal does not read.
  const TensorInfo* find_tensor(std::string_view name) const;

 private:
  void add_file(const std::string& path);
  void add_index(const std::string& folder, const std::string& index_path);
  void sort_and_check();

  std::string path_;
  std::vector<MappedFile> files_;
  std::vector<TensorInfo> tensors_;             // sorted by name
  std::vector<UnsupportedTensor> unsupported_;  // sorted by name
};

}  // namespace tidal
