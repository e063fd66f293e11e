#include "files/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/checked.h"
#include "base/fail.h"
#include "base/quote.h"

namespace tidal {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr size_t kMaxNameLength = 65535;
constexpr uint64_t kMaxEntries = uint64_t{1} << 20;
constexpr uint64_t kMinAlignment = 8;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;

// Smallest metadata entry: key length, one character, type, one byte. Smallest tensor: name length,
// one character, number of dimensions, type, offset.
constexpr uint64_t kMinMetadataBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;

struct TypeTraits {
  std::string_view name;
  size_t size;
};
constexpr TypeTraits kTypes[] = {
    {"uint8", 1},  {"int8", 1},    {"uint16", 2},  {"int16", 2},  {"uint32", 4},
    {"int32", 4},  {"float32", 4}, {"bool", 1},    {"string", 0}, {"array", 0},
    {"uint64", 8}, {"int64", 8},   {"float64", 8},
};

// GGML's names of its types, so that errors can name types tidal does not read.
struct KnownType {
  uint32_t number;
  std::string_view name;
};
constexpr KnownType kKnownTypes[] = {
    {4, "Q4_2"},      {5, "Q4_3"},      {9, "Q8_1"},      {10, "Q2_K"},    {11, "Q3_K"},
    {15, "Q8_K"},     {16, "IQ2_XXS"},  {17, "IQ2_XS"},   {18, "IQ3_XXS"}, {19, "IQ1_S"},
    {20, "IQ4_NL"},   {21, "IQ3_S"},    {22, "IQ2_S"},    {23, "IQ4_XS"},  {24, "I8"},
    {25, "I16"},      {26, "I32"},      {27, "I64"},      {28, "F64"},     {29, "IQ1_M"},
    {31, "Q4_0_4_4"}, {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"}, {34, "TQ1_0"},   {35, "TQ2_0"},
    {39, "MXFP4"},    {40, "NVFP4"},    {41, "Q1_0"},
};

std::string describe_ggml_type(uint32_t number) {
  for (const KnownType& type : kKnownTypes) {
    if (type.number == number) return fmt::format("{} (GGML type {})", type.name, number);
  }
  return fmt::format("unknown GGML type {}", number);
}

}  // namespace

size_t gguf_type_size(GgufType type) {
  const auto i = static_cast<size_t>(type);
  return i < std::size(kTypes) ? kTypes[i].size : 0;
}

std::string_view gguf_type_name(GgufType type) {
  const auto i = static_cast<size_t>(type);
  return i < std::size(kTypes) ? kTypes[i].name : "unknown";
}

std::string GgufParser::where() const {
  if (!name_.empty()) return fmt::format("{}: {} {}", file_.path_, kind_, quote(name_));
  if (number_ > 0) return fmt::format("{}: {} number {}", file_.path_, kind_, number_);
  return fmt::format("{}: {}", file_.path_, kind_);
}

void GgufParser::need(uint64_t n, const char* field) const {
  if (n <= remaining()) return;
  fail(ErrorCode::kCorrupt,
       "{}: {} takes {} bytes from byte {} on, but the file ends at byte {}: it is truncated or "
       "corrupt, get it again",
       where(), field, n, position_, bytes_.size());
}

std::string_view GgufParser::read_string(const char* field) {
  const auto length = read<uint64_t>(field);
  need(length, field);
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
  position_ += length;
  return text;
}

std::string_view GgufParser::read_name(const char* field) {
  const std::string_view name = read_string(field);
  if (name.empty() || name.size() > kMaxNameLength) {
    fail(ErrorCode::kCorrupt, "{}: {} is {} bytes long; must be 1 to {}", where(), field,
         name.size(), kMaxNameLength);
  }
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (!std::ranges::all_of(name, printable)) {
    fail(ErrorCode::kCorrupt, "{}: {} {} is not printable ASCII", where(), field, quote(name));
  }
  return name;
}

GgufType GgufParser::read_type(const char* field) {
  const auto number = read<uint32_t>(field);
  if (number >= std::size(kTypes)) {
    fail(ErrorCode::kCorrupt, "{}: {} {} is not a GGUF type (0 to {})", where(), field, number,
         std::size(kTypes) - 1);
  }
  return static_cast<GgufType>(number);
}

uint64_t GgufParser::read_count(const char* what, uint64_t min_bytes_each) {
  const auto count = read<uint64_t>(what);
  if (count > kMaxEntries) {
    fail(ErrorCode::kCorrupt, "{}: {} {} is more than the {} tidal allows", where(), what, count,
         kMaxEntries);
  }
  if (count > remaining() / min_bytes_each) {
    fail(ErrorCode::kCorrupt, "{}: {} {} cannot fit into the file, which has {} bytes", where(),
         what, count, bytes_.size());
  }
  return count;
}

void GgufParser::read_magic_and_version() {
  if (bytes_.empty()) fail(ErrorCode::kCorrupt, "{}: the file is empty, not GGUF", file_.path_);
  if (bytes_.size() < sizeof(kMagic) || read<uint32_t>("magic") != kMagic) {
    fail(ErrorCode::kCorrupt, "{}: not a GGUF file: it does not begin with \"GGUF\"", file_.path_);
  }
  const auto version = read<uint32_t>("version");
  if (version == __builtin_bswap32(2) || version == __builtin_bswap32(3)) {
    fail(ErrorCode::kUnsupported, "{}: header: the file is big-endian, tidal reads little-endian",
         file_.path_);
  }
  if (version != 2 && version != 3) {
    fail(ErrorCode::kUnsupported,
         "{}: header: GGUF version {} is not supported; supported are 2 and 3", file_.path_,
         version);
  }
  file_.version_ = version;
}

void GgufParser::read_values(const GgufFile::Entry& entry) {
  if (entry.type == GgufType::kString) {
    // Each string takes at least its length.
    if (entry.count > remaining() / sizeof(uint64_t)) {
      fail(ErrorCode::kCorrupt, "{}: {} strings cannot fit into the file, which has {} bytes",
           where(), entry.count, bytes_.size());
    }
    for (uint64_t i = 0; i < entry.count; ++i) read_string("string");
    return;
  }
  uint64_t n_bytes = 0;
  if (!checked_mul<uint64_t>(entry.count, gguf_type_size(entry.type), &n_bytes)) {
    fail(ErrorCode::kCorrupt, "{}: {} elements cannot fit into any file", where(), entry.count);
  }
  need(n_bytes, "value");
  if (entry.type == GgufType::kBool) {
    for (uint64_t i = 0; i < entry.count; ++i) {
      if (entry.data[i] > std::byte{1}) {
        fail(ErrorCode::kCorrupt, "{}: the boolean is {}, not 0 or 1", where(),
             static_cast<int>(entry.data[i]));
      }
    }
  }
  position_ += n_bytes;
}

void GgufParser::read_metadata_entry() {
  GgufFile::Entry entry{};
  name_ = {};
  ++number_;
  entry.key = read_name("key");
  name_ = entry.key;
  entry.type = read_type("value type");
  entry.count = 1;
  if (entry.type == GgufType::kArray) {
    entry.is_array = true;
    entry.type = read_type("element type");
    if (entry.type == GgufType::kArray) {
      fail(ErrorCode::kUnsupported, "{}: an array of arrays is not supported", where());
    }
    entry.count = read<uint64_t>("array length");
  }
  entry.data = bytes_.data() + position_;
  read_values(entry);
  file_.entries_.push_back(entry);
}

void GgufParser::index_metadata() {
  auto& order = file_.entries_by_key_;
  order.resize(file_.entries_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [this](size_t i) { return file_.entries_[i].key; };
  std::ranges::sort(order, {}, key);
  const auto twin = std::ranges::adjacent_find(order, {}, key);
  if (twin != order.end()) {
    fail(ErrorCode::kCorrupt, "{}: key {} appears twice", file_.path_, quote(key(*twin)));
  }

  if (const auto alignment = file_.find_int("general.alignment")) {
    const auto value = static_cast<uint64_t>(*alignment);
    if (!std::has_single_bit(value) || value < kMinAlignment || value > kMaxAlignment) {
      fail(ErrorCode::kCorrupt,
           "{}: key \"general.alignment\": {} is not a power of two from {} to {}", file_.path_,
           *alignment, kMinAlignment, kMaxAlignment);
    }
    file_.alignment_ = value;
  }
}

void GgufParser::refuse_parts() const {
  if (const auto n_files = file_.find_int("split.count"); n_files && *n_files > 1) {
    fail(ErrorCode::kUnsupported,
         "{}: key \"split.count\": the file is one of {} parts of a model; merge them into one "
         "file first (llama-gguf-split --merge)",
         file_.path_, *n_files);
  }
}

void GgufParser::read_tensor() {
  name_ = {};
  ++number_;
  TensorInfo tensor{};
  name_ = read_name("name");
  tensor.name = name_;
  const auto n_dimensions = read<uint32_t>("number of dimensions");
  if (n_dimensions > kMaxTensorDimensions) {
    fail(ErrorCode::kCorrupt, "{}: {} dimensions; at most {} are allowed", where(), n_dimensions,
         kMaxTensorDimensions);
  }
  for (uint32_t i = 0; i < n_dimensions; ++i) {
    const auto n = read<uint64_t>("dimension");
    if (n == 0 || n > uint64_t{INT64_MAX}) {
      fail(ErrorCode::kCorrupt, "{}: dimension {} is {}", where(), i, n);
    }
    tensor.shape.push_back(static_cast<int64_t>(n));
  }
  const auto type_number = read<uint32_t>("type");
  const auto dtype = dtype_from_ggml(type_number);
  if (!dtype) {
    fail(ErrorCode::kUnsupported, "{}: type {} is not supported; supported are {}", where(),
         describe_ggml_type(type_number), supported_dtypes());
  }
  tensor.dtype = *dtype;
  // The file names the innermost dimension first.
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.front();
  std::ranges::reverse(tensor.shape);

  const DTypeInfo& info = dtype_info(*dtype);
  if (row % info.block_size != 0) {
    fail(ErrorCode::kCorrupt, "{}: rows of {} elements are not whole {} blocks of {}", where(), row,
         info.name, info.block_size);
  }
  const auto count = element_count(tensor.shape);
  uint64_t n_bytes = 0;
  if (!count || !checked_mul<uint64_t>(static_cast<uint64_t>(*count / info.block_size),
                                       static_cast<uint64_t>(info.block_bytes), &n_bytes)) {
    fail(ErrorCode::kCorrupt, "{}: shape {} is larger than any file", where(),
         shape_string(tensor.shape));
  }
  tensor.bytes = n_bytes;
  offsets_.push_back(read<uint64_t>("offset"));
  file_.tensors_.push_back(std::move(tensor));
}

// Tensor offsets count from the first aligned byte after the header.
void GgufParser::place_tensors() {
  kind_ = "tensor";
  const uint64_t mask = file_.alignment_ - 1;
  const uint64_t start = (position_ + mask) & ~mask;  // cannot wrap: both are far below 2^63
  for (size_t i = 0; i < offsets_.size(); ++i) {
    TensorInfo& tensor = file_.tensors_[i];
    name_ = tensor.name;
    if ((offsets_[i] & mask) != 0) {
      fail(ErrorCode::kCorrupt, "{}: offset {} is not a multiple of the alignment {}", where(),
           offsets_[i], file_.alignment_);
    }
    uint64_t begin = 0, end = 0;
    if (!checked_add(start, offsets_[i], &begin) ||
        !checked_add<uint64_t>(begin, tensor.bytes, &end) || end > bytes_.size()) {
      fail(ErrorCode::kCorrupt,
           "{}: {} bytes of data at offset {} end past the file's {} bytes: it is truncated or "
           "corrupt, get it again",
           where(), tensor.bytes, offsets_[i], bytes_.size());
    }
    tensor.data = bytes_.data() + begin;
  }

  auto& order = file_.tensors_by_name_;
  order.resize(file_.tensors_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto name = [this](size_t i) { return std::string_view(file_.tensors_[i].name); };
  std::ranges::sort(order, {}, name);
  const auto twin = std::ranges::adjacent_find(order, {}, name);
  if (twin != order.end()) {
    fail(ErrorCode::kCorrupt, "{}: tensor {} appears twice", file_.path_, quote(name(*twin)));
  }
}

void GgufParser::run_metadata() {
  read_magic_and_version();
  n_tensors_ = read_count("tensor count", kMinTensorBytes);
  const uint64_t n_entries = read_count("metadata count", kMinMetadataBytes);
  kind_ = "metadata key";
  for (uint64_t i = 0; i < n_entries; ++i) read_metadata_entry();
  index_metadata();
}

void GgufParser::run() {
  run_metadata();
  refuse_parts();
  kind_ = "tensor";
  number_ = 0;
  for (uint64_t i = 0; i < n_tensors_; ++i) read_tensor();
  place_tensors();
}

}  // namespace tidal
