// A GGUF file (version 2 or 3, little endian), checked in full when opened and then read in place.
//
// open() maps the file and keeps it mapped; string views, tensor data and TensorInfo pointers live
// as long as the GgufFile (moving it keeps them valid). Reading is thread-safe. Every field of the
// header is checked against the file's real size before use and bounds the memory taken; a
// violation is an Error naming file and field: kCorrupt if the file breaks the format, kUnsupported
// for a version, byte order, part of a split model, nested array or tensor type that tidal does not
// read (one such tensor fails open(): its size cannot be verified). Keys and names are printable
// ASCII; string values are arbitrary bytes: quote() them before showing them to a person. A file
// that another process shortens while it is mapped cannot be guarded against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "files/model_file.h"

namespace tidal {

// The value types of GGUF metadata, by their numbers in the file.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// One line of metadata, for people.
struct GgufLine {
  std::string_view key;
  std::string type;   // "uint32", "string", "string[49152]"
  std::string value;  // cut to about max_length bytes, control characters escaped
};

class GgufFile {
 public:
  static GgufFile open(const std::string& path);
  // The same without looking at tensors: tensors() is empty. Accepts a file without weights, with
  // tensor types tidal does not read, or the first part of a split model.
  static GgufFile open_metadata(const std::string& path);
  // The same from memory, which the caller keeps alive; `name` is for error messages.
  static GgufFile parse(std::span<const std::byte> bytes, std::string name);

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }

  // Metadata by key: nullopt when absent, Error(kCorrupt) if the value has another type or does not
  // fit. find_int accepts every integer type; find_float every float and integer type.
  std::optional<int64_t> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<std::vector<std::string_view>> find_strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> find_ints(std::string_view key) const;
  std::optional<std::vector<float>> find_floats(std::string_view key) const;

  // The same, but absence is also Error(kCorrupt).
  int64_t require_int(std::string_view key) const;
  double require_float(std::string_view key) const;
  std::string_view require_string(std::string_view key) const;
  std::vector<std::string_view> require_strings(std::string_view key) const;

  bool has_key(std::string_view key) const { return find_entry(key) != nullptr; }
  bool is_array(std::string_view key) const;                     // false when absent
  std::vector<GgufLine> describe(size_t max_length = 72) const;  // in file order

  std::span<const TensorInfo> tensors() const { return tensors_; }  // in file order
  const TensorInfo* find_tensor(std::string_view name) const;       // null when absent

 private:
  // A value whose extent has been checked: data is the value, or an array's first element.
  struct Entry {
    std::string_view key;
    GgufType type;  // of the elements, for an array
    bool is_array;
    uint64_t count;  // 1 unless an array
    const std::byte* data;
  };
  friend class GgufParser;

  const Entry* find_entry(std::string_view key) const;
  const Entry* find_scalar(std::string_view key, std::string_view expected) const;
  const Entry* find_array(std::string_view key, std::string_view expected) const;
  [[noreturn]] void fail_type(const Entry& entry, std::string_view expected) const;
  [[noreturn]] void fail_absent(std::string_view key) const;
  int64_t int_at(const Entry& entry, uint64_t i, std::string_view expected) const;
  double float_at(const Entry& entry, uint64_t i, std::string_view expected) const;

  std::string path_;
  std::optional<MappedFile> file_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  std::vector<Entry> entries_;
  std::vector<size_t> entries_by_key_;
  std::vector<TensorInfo> tensors_;
  std::vector<size_t> tensors_by_name_;
};

}  // namespace tidal
