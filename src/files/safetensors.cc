#include "files/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "base/checked.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/quote.h"

namespace tidal {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library
constexpr size_t kMaxDimensions = 32;              // to verify; to read: kMaxTensorDimensions

// Every type of the format whose elements are whole bytes.
struct ElementType {
  std::string_view name;
  uint64_t size;
};
constexpr ElementType kElementTypes[] = {
    {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"F8_E4M3", 1}, {"F8_E5M2", 1},
    {"I8", 1},  {"I16", 2}, {"I32", 4},  {"I64", 8},     {"U8", 1},      {"U16", 2},
    {"U32", 4}, {"U64", 8}, {"BOOL", 1}, {"F8_E8M0", 1}, {"C64", 8},
};

struct Entry {
  TensorInfo info;
  uint64_t begin = 0;
  std::string reason;  // why the tensor cannot be read; empty if it can
};

// One tensor of a header; its description's place is for messages.
class EntryReader {
 public:
  EntryReader(const std::string& file, const std::string& name, const Json& value)
      : file_(file), name_(name), value_(value) {}

  Entry read(std::span<const std::byte> data) const;

 private:
  template <typename... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kCorrupt, "{}: tensor {}: {}", file_, quote(name_),
         fmt::format(format, std::forward<Args>(args)...));
  }
  const Json& field(const char* key) const;
  std::vector<int64_t> read_shape() const;
  std::pair<uint64_t, uint64_t> read_offsets(uint64_t data_size) const;

  const std::string& file_;
  const std::string& name_;
  const Json& value_;
};

const Json& EntryReader::field(const char* key) const {
  if (!value_.is_object()) corrupt("its description is not an object");
  const auto it = value_.find(key);
  if (it == value_.end()) corrupt("field \"{}\" is missing", key);
  return *it;
}

std::vector<int64_t> EntryReader::read_shape() const {
  const Json& list = field("shape");
  if (!list.is_array()) corrupt("\"shape\" is not an array");
  if (list.size() > kMaxDimensions) {
    corrupt("\"shape\" has {} dimensions; at most {} are allowed", list.size(), kMaxDimensions);
  }
  std::vector<int64_t> shape;
  for (const Json& n : list) {
    if (!n.is_number_unsigned() || n.get<uint64_t>() > uint64_t{INT64_MAX}) {
      corrupt("\"shape\" must hold whole numbers >= 0");
    }
    shape.push_back(n.get<int64_t>());
  }
  return shape;
}

std::pair<uint64_t, uint64_t> EntryReader::read_offsets(uint64_t data_size) const {
  const Json& list = field("data_offsets");
  if (!list.is_array() || list.size() != 2 || !list[0].is_number_unsigned() ||
      !list[1].is_number_unsigned()) {
    corrupt("\"data_offsets\" must be two whole numbers");
  }
  const auto begin = list[0].get<uint64_t>(), end = list[1].get<uint64_t>();
  if (begin > end || end > data_size) {
    corrupt("\"data_offsets\" [{}, {}] lie outside the {} bytes of data the file has", begin, end,
            data_size);
  }
  return {begin, end};
}

Entry EntryReader::read(std::span<const std::byte> data) const {
  Entry entry;
  entry.info.name = name_;
  entry.info.shape = read_shape();
  const auto [begin, end] = read_offsets(data.size());
  entry.begin = begin;
  entry.info.bytes = end - begin;
  entry.info.data = data.data() + begin;

  const Json& type_field = field("dtype");
  if (!type_field.is_string()) corrupt("\"dtype\" is not a string");
  const auto& type_name = type_field.get_ref<const std::string&>();
  const auto type = std::ranges::find(kElementTypes, type_name, &ElementType::name);
  if (type == std::end(kElementTypes)) {
    fail(ErrorCode::kUnsupported,
         "{}: tensor {}: dtype {} is not known; supported are F32, F16 and BF16", file_,
         quote(name_), quote(type_name));
  }
  const auto count = element_count(entry.info.shape);
  uint64_t n_bytes = 0;
  if (!count || !checked_mul(static_cast<uint64_t>(*count), type->size, &n_bytes)) {
    corrupt("shape {} is larger than any file", shape_string(entry.info.shape));
  }
  if (n_bytes != entry.info.bytes) {
    corrupt("shape {} of {} takes {} bytes, but \"data_offsets\" give it {}",
            shape_string(entry.info.shape), type_name, n_bytes, entry.info.bytes);
  }
  if (type_name == "F32" || type_name == "F16" || type_name == "BF16") {
    entry.info.dtype = *dtype_from_name(type_name);
    if (entry.info.shape.size() > kMaxTensorDimensions) {
      entry.reason = fmt::format("{} dimensions are not supported; at most {} are",
                                 entry.info.shape.size(), kMaxTensorDimensions);
    }
  } else {
    entry.reason =
        fmt::format("dtype {} is not supported; supported are F32, F16 and BF16", type_name);
  }
  return entry;
}

// The format requires the data to be covered from first byte to last, each byte once.
void check_coverage(const std::vector<Entry>& entries, uint64_t data_size,
                    const std::string& name) {
  uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected) {
      fail(ErrorCode::kCorrupt,
           "{}: tensor {}: its data begins at {}, but the data before it ends at {}", name,
           quote(entry.info.name), entry.begin, expected);
    }
    expected += entry.info.bytes;
  }
  if (expected != data_size) {
    fail(ErrorCode::kCorrupt, "{}: the tensors take {} bytes, but the file has {} bytes of data",
         name, expected, data_size);
  }
}

std::string_view read_header_text(std::span<const std::byte> bytes, const std::string& name) {
  uint64_t n_header = 0;
  if (bytes.empty()) fail(ErrorCode::kCorrupt, "{}: the file is empty, not safetensors", name);
  if (bytes.size() < sizeof(n_header)) {
    fail(ErrorCode::kCorrupt, "{}: {} bytes are too few for a safetensors file", name,
         bytes.size());
  }
  std::memcpy(&n_header, bytes.data(), sizeof(n_header));
  if (n_header > kMaxHeaderBytes || n_header > bytes.size() - sizeof(n_header)) {
    fail(ErrorCode::kCorrupt,
         "{}: the header's length {} does not fit the file's {} bytes (or the limit of {}): it is "
         "truncated or not a safetensors file",
         name, n_header, bytes.size(), kMaxHeaderBytes);
  }
  return {reinterpret_cast<const char*>(bytes.data()) + sizeof(n_header), n_header};
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  const bool there = std::filesystem::exists(path, error);
  if (error) fail(ErrorCode::kIo, "cannot open {}: {}", path.string(), error.message());
  return there;
}

}  // namespace

SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text = read_header_text(bytes, name);
  const auto data = bytes.subspan(sizeof(uint64_t) + text.size());
  const Json header = parse_json(text, name + " (header)", DuplicateKeys::kReject);
  if (!header.is_object()) fail(ErrorCode::kCorrupt, "{}: the header is not an object", name);

  std::vector<Entry> entries;
  for (const auto& [key, value] : header.items()) {
    if (key == "__metadata__") {
      if (!value.is_object()) {
        fail(ErrorCode::kCorrupt, "{}: \"__metadata__\" is not an object", name);
      }
      continue;
    }
    entries.push_back(EntryReader(name, key, value).read(data));
  }
  std::ranges::sort(entries, {}, [](const Entry& entry) {
    return std::pair(entry.begin, entry.info.bytes);  // sorts empty tensors before their neighbour
  });
  check_coverage(entries, data.size(), name);

  SafetensorsHeader out;
  for (Entry& entry : entries) {
    if (entry.reason.empty()) {
      out.tensors.push_back(std::move(entry.info));
    } else {
      out.unsupported.push_back(
          {entry.info.name,
           fmt::format("{}: tensor {}: {}", name, quote(entry.info.name), entry.reason)});
    }
  }
  return out;
}

void SafetensorsFolder::add_file(const std::string& path) {
  MappedFile file(path);
  SafetensorsHeader header = parse_safetensors(file.bytes(), path);
  files_.push_back(std::move(file));
  std::ranges::move(header.tensors, std::back_inserter(tensors_));
  std::ranges::move(header.unsupported, std::back_inserter(unsupported_));
}

void SafetensorsFolder::add_index(const std::string& folder, const std::string& index_path) {
  const Json index = read_json_file(index_path);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty()) {
    fail(ErrorCode::kCorrupt, "{}: \"weight_map\" is missing, empty or not an object", index_path);
  }
  std::map<std::string, std::vector<std::string>> promised;  // file -> its tensors
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !is_plain_file_name(file.get_ref<const std::string&>())) {
      fail(ErrorCode::kCorrupt,
           "{}: \"weight_map\" must give tensor {} the name of a file in the same folder",
           index_path, quote(tensor));
    }
    promised[file.get_ref<const std::string&>()].push_back(tensor);
  }
  for (const auto& [file, tensors] : promised) {
    const size_t n_tensors = tensors_.size(), n_unsupported = unsupported_.size();
    add_file((std::filesystem::path(folder) / file).string());
    std::set<std::string_view> present;
    for (size_t i = n_tensors; i < tensors_.size(); ++i) present.insert(tensors_[i].name);
    for (size_t i = n_unsupported; i < unsupported_.size(); ++i) {
      present.insert(unsupported_[i].name);
    }
    for (const std::string& tensor : tensors) {
      if (!present.contains(tensor)) {
        fail(ErrorCode::kCorrupt, "{}: tensor {} should be in {}, but is not there", index_path,
             quote(tensor), quote(file));
      }
    }
  }
}

void SafetensorsFolder::sort_and_check() {
  std::ranges::sort(tensors_, {}, &TensorInfo::name);
  std::ranges::sort(unsupported_, {}, &UnsupportedTensor::name);
  std::vector<std::string_view> names;
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  for (const UnsupportedTensor& tensor : unsupported_) names.push_back(tensor.name);
  std::ranges::sort(names);
  const auto twin = std::ranges::adjacent_find(names);
  if (twin != names.end()) {
    fail(ErrorCode::kCorrupt, "{}: tensor {} is in two of its files", path_, quote(*twin));
  }
}

SafetensorsFolder SafetensorsFolder::open(const std::string& path) {
  namespace fs = std::filesystem;
  SafetensorsFolder out;
  out.path_ = path;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    const fs::path single = fs::path(path) / "model.safetensors";
    const fs::path index = fs::path(path) / "model.safetensors.index.json";
    if (is_there(single)) {
      out.add_file(single.string());
    } else if (is_there(index)) {
      out.add_index(path, index.string());
    } else {
      fail(ErrorCode::kNotFound,
           "{}: the folder has neither model.safetensors nor model.safetensors.index.json", path);
    }
  } else if (path.ends_with(".index.json")) {
    out.add_index(fs::path(path).parent_path().string(), path);
  } else {
    out.add_file(path);
  }
  out.sort_and_check();
  return out;
}

const TensorInfo* SafetensorsFolder::find_tensor(std::string_view name) const {
  const auto it = std::ranges::lower_bound(tensors_, name, {}, &TensorInfo::name);
  if (it != tensors_.end() && it->name == name) return &*it;
  const auto refused = std::ranges::lower_bound(unsupported_, name, {}, &UnsupportedTensor::name);
  if (refused != unsupported_.end() && refused->name == name) {
    throw Error(ErrorCode::kUnsupported, refused->reason);
  }
  return nullptr;
}

}  // namespace tidal
