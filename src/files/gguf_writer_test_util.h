// Builds the bytes of GGUF files for tests, with every field as wrong as the test needs. Raw:
// nothing is checked, counts are what the caller says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/gguf.h"

namespace tidal::test {

class GgufTestWriter {
 public:
  // The header. Counts are given, not counted.
  GgufTestWriter(uint64_t n_tensors, uint64_t n_entries, uint32_t version = 3) {
    raw("GGUF").put(version).put(n_tensors).put(n_entries);
  }

  template <typename T>
  GgufTestWriter& put(T value) {
    return raw({reinterpret_cast<const char*>(&value), sizeof(T)});
  }
  GgufTestWriter& raw(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  GgufTestWriter& string(std::string_view text) { return put<uint64_t>(text.size()).raw(text); }

  GgufTestWriter& key(std::string_view name, GgufType type) {
    return string(name).put(static_cast<uint32_t>(type));
  }
  template <typename T>
  GgufTestWriter& entry(std::string_view name, GgufType type, T value) {
    return key(name, type).put(value);
  }
  GgufTestWriter& entry(std::string_view name, std::string_view value) {
    return key(name, GgufType::kString).string(value);
  }
  GgufTestWriter& array(std::string_view name, GgufType element, uint64_t count) {
    return key(name, GgufType::kArray).put(static_cast<uint32_t>(element)).put(count);
  }

  // Dimensions innermost first, as in the file.
  GgufTestWriter& tensor(std::string_view name, const std::vector<uint64_t>& dimensions,
                         uint32_t type, uint64_t offset) {
    string(name).put(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t n : dimensions) put(n);
    return put(type).put(offset);
  }

  GgufTestWriter& align(size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_.push_back(std::byte{0});
    return *this;
  }
  GgufTestWriter& zeros(size_t n) {
    bytes_.insert(bytes_.end(), n, std::byte{0});
    return *this;
  }

  std::vector<std::byte>& bytes() { return bytes_; }
  GgufFile parse() const { return GgufFile::parse(bytes_, "test.gguf"); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace tidal::test
