#include "files/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/fail.h"
#include "base/quote.h"
#include "files/gguf_parser.h"

namespace tidal {
namespace {

template <typename T>
T load(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

// A string of a checked entry, and the position after it.
std::string_view load_string(const std::byte** data) {
  const auto length = load<uint64_t>(*data);
  const std::string_view text(reinterpret_cast<const char*>(*data) + sizeof(length), length);
  *data += sizeof(length) + length;
  return text;
}

bool is_float(GgufType type) { return type == GgufType::kFloat32 || type == GgufType::kFloat64; }

std::string format_value(GgufType type, const std::byte* data) {
  switch (type) {
    case GgufType::kUint8:
      return fmt::format("{}", load<uint8_t>(data));
    case GgufType::kInt8:
      return fmt::format("{}", load<int8_t>(data));
    case GgufType::kUint16:
      return fmt::format("{}", load<uint16_t>(data));
    case GgufType::kInt16:
      return fmt::format("{}", load<int16_t>(data));
    case GgufType::kUint32:
      return fmt::format("{}", load<uint32_t>(data));
    case GgufType::kInt32:
      return fmt::format("{}", load<int32_t>(data));
    case GgufType::kUint64:
      return fmt::format("{}", load<uint64_t>(data));
    case GgufType::kInt64:
      return fmt::format("{}", load<int64_t>(data));
    case GgufType::kFloat32:
      return fmt::format("{}", load<float>(data));
    case GgufType::kFloat64:
      return fmt::format("{}", load<double>(data));
    case GgufType::kBool:
      return load<uint8_t>(data) ? "true" : "false";
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return {};
}

}  // namespace

GgufFile GgufFile::open(const std::string& path) {
  MappedFile mapping(path);
  GgufFile file = parse(mapping.bytes(), path);
  file.file_ = std::move(mapping);
  return file;
}

GgufFile GgufFile::open_metadata(const std::string& path) {
  MappedFile mapping(path);
  GgufFile file;
  file.path_ = path;
  GgufParser(mapping.bytes(), &file).run_metadata();
  file.file_ = std::move(mapping);
  return file;
}

GgufFile GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.path_ = std::move(name);
  GgufParser(bytes, &file).run();
  return file;
}

const GgufFile::Entry* GgufFile::find_entry(std::string_view key) const {
  const auto key_at = [this](size_t i) { return entries_[i].key; };
  const auto it = std::ranges::lower_bound(entries_by_key_, key, {}, key_at);
  return it != entries_by_key_.end() && key_at(*it) == key ? &entries_[*it] : nullptr;
}

bool GgufFile::is_array(std::string_view key) const {
  const Entry* entry = find_entry(key);
  return entry != nullptr && entry->is_array;
}

const TensorInfo* GgufFile::find_tensor(std::string_view name) const {
  const auto name_at = [this](size_t i) { return std::string_view(tensors_[i].name); };
  const auto it = std::ranges::lower_bound(tensors_by_name_, name, {}, name_at);
  return it != tensors_by_name_.end() && name_at(*it) == name ? &tensors_[*it] : nullptr;
}

void GgufFile::fail_type(const Entry& entry, std::string_view expected) const {
  fail(ErrorCode::kCorrupt, "{}: metadata key {} must be {}, but it is {}{}", path_,
       quote(entry.key), expected, entry.is_array ? "an array of " : "",
       gguf_type_name(entry.type));
}

void GgufFile::fail_absent(std::string_view key) const {
  fail(ErrorCode::kCorrupt, "{}: metadata key {} is missing", path_, quote(key));
}

const GgufFile::Entry* GgufFile::find_scalar(std::string_view key,
                                             std::string_view expected) const {
  const Entry* entry = find_entry(key);
  if (entry != nullptr && entry->is_array) fail_type(*entry, expected);
  return entry;
}

const GgufFile::Entry* GgufFile::find_array(std::string_view key, std::string_view expected) const {
  const Entry* entry = find_entry(key);
  if (entry != nullptr && !entry->is_array) fail_type(*entry, expected);
  return entry;
}

int64_t GgufFile::int_at(const Entry& entry, uint64_t i, std::string_view expected) const {
  const std::byte* data = entry.data + i * gguf_type_size(entry.type);
  switch (entry.type) {
    case GgufType::kUint8:
      return load<uint8_t>(data);
    case GgufType::kInt8:
      return load<int8_t>(data);
    case GgufType::kUint16:
      return load<uint16_t>(data);
    case GgufType::kInt16:
      return load<int16_t>(data);
    case GgufType::kUint32:
      return load<uint32_t>(data);
    case GgufType::kInt32:
      return load<int32_t>(data);
    case GgufType::kInt64:
      return load<int64_t>(data);
    case GgufType::kUint64: {
      const auto value = load<uint64_t>(data);
      if (value > uint64_t{INT64_MAX}) {
        fail(ErrorCode::kCorrupt, "{}: metadata key {}: {} is out of range", path_,
             quote(entry.key), value);
      }
      return static_cast<int64_t>(value);
    }
    default:
      fail_type(entry, expected);
  }
}

double GgufFile::float_at(const Entry& entry, uint64_t i, std::string_view expected) const {
  const std::byte* data = entry.data + i * gguf_type_size(entry.type);
  if (entry.type == GgufType::kFloat32) return static_cast<double>(load<float>(data));
  if (entry.type == GgufType::kFloat64) return load<double>(data);
  return static_cast<double>(int_at(entry, i, expected));
}

std::optional<int64_t> GgufFile::find_int(std::string_view key) const {
  constexpr std::string_view kWanted = "an integer";
  const Entry* entry = find_scalar(key, kWanted);
  if (entry == nullptr) return std::nullopt;
  return int_at(*entry, 0, kWanted);
}

std::optional<double> GgufFile::find_float(std::string_view key) const {
  constexpr std::string_view kWanted = "a number";
  const Entry* entry = find_scalar(key, kWanted);
  if (entry == nullptr) return std::nullopt;
  return float_at(*entry, 0, kWanted);
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  constexpr std::string_view kWanted = "a boolean";
  const Entry* entry = find_scalar(key, kWanted);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kBool) fail_type(*entry, kWanted);
  return load<uint8_t>(entry->data) != 0;
}

std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  constexpr std::string_view kWanted = "a string";
  const Entry* entry = find_scalar(key, kWanted);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kString) fail_type(*entry, kWanted);
  const std::byte* data = entry->data;
  return load_string(&data);
}

std::optional<std::vector<std::string_view>> GgufFile::find_strings(std::string_view key) const {
  constexpr std::string_view kWanted = "an array of strings";
  const Entry* entry = find_array(key, kWanted);
  if (entry == nullptr) return std::nullopt;
  if (entry->type != GgufType::kString) fail_type(*entry, kWanted);
  std::vector<std::string_view> strings(entry->count);
  const std::byte* data = entry->data;
  for (std::string_view& text : strings) text = load_string(&data);
  return strings;
}

std::optional<std::vector<int64_t>> GgufFile::find_ints(std::string_view key) const {
  constexpr std::string_view kWanted = "an array of integers";
  const Entry* entry = find_array(key, kWanted);
  if (entry == nullptr) return std::nullopt;
  if (gguf_type_size(entry->type) == 0 || is_float(entry->type)) fail_type(*entry, kWanted);
  std::vector<int64_t> values(entry->count);
  for (uint64_t i = 0; i < entry->count; ++i) values[i] = int_at(*entry, i, kWanted);
  return values;
}

std::optional<std::vector<float>> GgufFile::find_floats(std::string_view key) const {
  constexpr std::string_view kWanted = "an array of numbers";
  const Entry* entry = find_array(key, kWanted);
  if (entry == nullptr) return std::nullopt;
  if (gguf_type_size(entry->type) == 0) fail_type(*entry, kWanted);
  std::vector<float> values(entry->count);
  for (uint64_t i = 0; i < entry->count; ++i) {
    values[i] = static_cast<float>(float_at(*entry, i, kWanted));
  }
  return values;
}

int64_t GgufFile::require_int(std::string_view key) const {
  const auto value = find_int(key);
  if (!value) fail_absent(key);
  return *value;
}

double GgufFile::require_float(std::string_view key) const {
  const auto value = find_float(key);
  if (!value) fail_absent(key);
  return *value;
}

std::string_view GgufFile::require_string(std::string_view key) const {
  const auto value = find_string(key);
  if (!value) fail_absent(key);
  return *value;
}

std::vector<std::string_view> GgufFile::require_strings(std::string_view key) const {
  auto value = find_strings(key);
  if (!value) fail_absent(key);
  return *std::move(value);
}

std::vector<GgufLine> GgufFile::describe(size_t max_length) const {
  std::vector<GgufLine> lines;
  lines.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    std::string type(gguf_type_name(entry.type));
    if (entry.is_array) type += fmt::format("[{}]", entry.count);
    std::string value;
    const std::byte* data = entry.data;
    uint64_t i = 0;
    for (; i < entry.count && value.size() < max_length; ++i) {
      if (i > 0) value += ", ";
      if (entry.type == GgufType::kString) {
        value += quote(load_string(&data), max_length - std::min(max_length, value.size()));
      } else {
        value += format_value(entry.type, data);
        data += gguf_type_size(entry.type);
      }
    }
    if (i < entry.count) value += ", ...";
    lines.push_back({entry.key, std::move(type), std::move(value)});
  }
  return lines;
}

}  // namespace tidal
