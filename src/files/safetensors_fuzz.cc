// Any bytes as a safetensors file: parse, then read every tensor.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "files/safetensors.h"
#include "tidal/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const auto header = tidal::parse_safetensors(bytes, "fuzz.safetensors");
    for (const tidal::TensorInfo& tensor : header.tensors) {
      const int64_t count = tidal::element_count(tensor.shape).value();
      std::vector<float> values(static_cast<size_t>(count));
      tidal::decode_row(tensor.dtype, tensor.data, values.data(), count);
    }
  } catch (const tidal::Error&) {
  }
  return 0;
}
