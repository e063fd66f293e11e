// Any bytes as a GGUF file: parse, then read all of it through every getter.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "files/gguf.h"
#include "tidal/error.h"

namespace {

template <typename F>
void ignoring_errors(F&& f) {
  try {
    f();
  } catch (const tidal::Error&) {
  }
}

void read_metadata(const tidal::GgufFile& file) {
  size_t sum = 0;
  for (const tidal::GgufLine& line : file.describe()) {
    if (!file.has_key(line.key)) std::abort();
    ignoring_errors([&] { file.find_int(line.key); });
    ignoring_errors([&] { file.find_float(line.key); });
    ignoring_errors([&] { file.find_bool(line.key); });
    ignoring_errors([&] { sum += file.find_string(line.key)->size(); });
    ignoring_errors([&] { file.find_ints(line.key); });
    ignoring_errors([&] { file.find_floats(line.key); });
    ignoring_errors([&] {
      const auto texts = file.find_strings(line.key);
      for (const std::string_view text : *texts) {
        for (const char c : text) sum += static_cast<unsigned char>(c);
      }
    });
  }
  if (sum == SIZE_MAX) std::abort();  // keeps the reads from being optimised away
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const tidal::GgufFile file = tidal::GgufFile::parse(bytes, "fuzz.gguf");
    read_metadata(file);
    for (const tidal::TensorInfo& tensor : file.tensors()) {
      if (file.find_tensor(tensor.name) != &tensor) std::abort();
      const int64_t count = tidal::element_count(tensor.shape).value();
      std::vector<float> values(static_cast<size_t>(count));
      tidal::decode_row(tensor.dtype, tensor.data, values.data(), count);
    }
  } catch (const tidal::Error&) {
  }
  return 0;
}
