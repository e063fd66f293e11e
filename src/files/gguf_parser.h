// One pass over the header of a GGUF file that fills a GgufFile and checks every field on the way.
// See gguf.h for the errors. Used once per file; owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "files/gguf.h"

namespace tidal {

// Size of one value of a fixed-size type; 0 for strings, arrays and invalid type numbers.
size_t gguf_type_size(GgufType type);
std::string_view gguf_type_name(GgufType type);

class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, GgufFile* file) : bytes_(bytes), file_(*file) {}
  void run();
  void run_metadata();  // up to the tensors

 private:
  uint64_t remaining() const { return bytes_.size() - position_; }
  std::string where() const;  // what is being read, for messages
  void need(uint64_t n, const char* field) const;
  template <typename T>
  T read(const char* field) {
    need(sizeof(T), field);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }
  std::string_view read_string(const char* field);
  std::string_view read_name(const char* field);
  GgufType read_type(const char* field);
  uint64_t read_count(const char* what, uint64_t min_bytes_each);
  void read_magic_and_version();
  void read_metadata_entry();
  void read_values(const GgufFile::Entry& entry);
  void index_metadata();
  void refuse_parts() const;
  void read_tensor();
  void place_tensors();

  std::span<const std::byte> bytes_;
  GgufFile& file_;
  size_t position_ = 0;
  uint64_t n_tensors_ = 0;
  std::vector<uint64_t> offsets_;  // [n_tensors], from the start of the data section

  // The current field's place, formatted only when an error needs it.
  const char* kind_ = "header";
  std::string_view name_;
  uint64_t number_ = 0;
};

}  // namespace tidal
