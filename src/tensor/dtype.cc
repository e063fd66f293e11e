#include "tensor/dtype.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>

#include "base/check.h"
#include "tensor/format_headers.h"  // generated from formats.def: every formats/*.h it names

static_assert(std::endian::native == std::endian::little, "GGUF blocks are read as they lie");

namespace tidal {
namespace {

constexpr DTypeInfo kInfos[] = {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) \
  {#name, ggml_type, block_size, block_bytes},
#include "tensor/formats.def"
#undef TIDAL_FORMAT
};

#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) \
  static_assert(sizeof(Block##name) == (block_bytes));
#include "tensor/formats.def"
#undef TIDAL_FORMAT

int64_t block_count(DType type, int64_t n) {
  const DTypeInfo& info = dtype_info(type);
  TIDAL_CHECK(n >= 0 && n % info.block_size == 0, "{} elements are not whole blocks of {}", n,
              info.name);
  return n / info.block_size;
}

// Blocks are copied in and out because files guarantee no alignment.
template <typename Block, int kBlockSize>
void decode_blocks(const std::byte* src, float* dst, int64_t n_blocks) {
  for (int64_t b = 0; b < n_blocks; ++b) {
    Block block;
    std::memcpy(&block, src + b * sizeof(Block), sizeof(Block));
    decode_block(block, dst + b * kBlockSize);
  }
}

template <typename Block, int kBlockSize>
void encode_blocks(const float* src, std::byte* dst, int64_t n_blocks) {
  for (int64_t b = 0; b < n_blocks; ++b) {
    Block block;
    encode_block(src + b * kBlockSize, &block);
    std::memcpy(dst + b * sizeof(Block), &block, sizeof(Block));
  }
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

}  // namespace

std::span<const DTypeInfo> all_dtypes() { return kInfos; }

const DTypeInfo& dtype_info(DType type) {
  const auto index = static_cast<size_t>(type);
  TIDAL_CHECK(index < std::size(kInfos));
  return kInfos[index];
}

std::optional<DType> dtype_from_ggml(uint32_t ggml_type) {
  for (size_t i = 0; i < std::size(kInfos); ++i) {
    if (kInfos[i].ggml_type == ggml_type) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (size_t i = 0; i < std::size(kInfos); ++i) {
    if (equal_ignoring_case(kInfos[i].name, name)) return static_cast<DType>(i);
  }
  return std::nullopt;
}

void decode_row(DType type, const std::byte* src, float* dst, int64_t n) {
  const int64_t n_blocks = block_count(type, n);
  switch (type) {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) \
  case DType::k##name:                                         \
    return decode_blocks<Block##name, block_size>(src, dst, n_blocks);
#include "tensor/formats.def"
#undef TIDAL_FORMAT
  }
}

void encode_row(DType type, const float* src, std::byte* dst, int64_t n) {
  const int64_t n_blocks = block_count(type, n);
  switch (type) {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) \
  case DType::k##name:                                         \
    return encode_blocks<Block##name, block_size>(src, dst, n_blocks);
#include "tensor/formats.def"
#undef TIDAL_FORMAT
  }
}

}  // namespace tidal
