// Element types of tensors, as GGUF defines them (ggml type numbers, block sizes and layouts).
//
// A quantized type stores blocks of block_size elements in block_bytes bytes along the innermost
// dimension. formats.def is the single list; a format's layout and scalar decoder live in formats/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tidal {

enum class DType : uint8_t {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) k##name,
#include "tensor/formats.def"
#undef TIDAL_FORMAT
};

struct DTypeInfo {
  std::string_view name;  // "Q4_0", as GGUF tools print it
  uint32_t ggml_type;
  int block_size;   // elements
  int block_bytes;  // bytes
};

std::span<const DTypeInfo> all_dtypes();  // in the order of DType
const DTypeInfo& dtype_info(DType type);
std::optional<DType> dtype_from_ggml(uint32_t ggml_type);
std::optional<DType> dtype_from_name(std::string_view name);  // any letter case
inline std::string_view dtype_name(DType type) { return dtype_info(type).name; }

// Bytes of a row of n elements; n must be a multiple of the block size.
inline size_t dtype_row_bytes(DType type, int64_t n) {
  const DTypeInfo& info = dtype_info(type);
  return static_cast<size_t>(n / info.block_size) * static_cast<size_t>(info.block_bytes);
}

// Decodes n elements (a multiple of the block size) to float, bit-exact with `dequantize` of the
// Python package gguf. src may be unaligned.
void decode_row(DType type, const std::byte* src, float* dst, int64_t n);

// The inverse: bit-exact with gguf's `quantize` for F32 to Q8_0; Q4_K, Q5_K and Q6_K, which gguf
// cannot quantize, are rounded to the nearest scales without a search (formats/k_scales.h).
void encode_row(DType type, const float* src, std::byte* dst, int64_t n);

}  // namespace tidal
