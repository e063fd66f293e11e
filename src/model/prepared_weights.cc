#include "model/prepared_weights.h"

#include "base/mapped_file.h"

namespace tidal {
namespace {

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

size_t aligned_bytes(Weight weight, WeightLayout layout) {
  weight.layout = layout;
  return aligned(weight.stored_bytes());
}

}  // namespace

size_t prepared_bytes(const ModelWeights& weights, WeightLayout layout, const Memory& memory) {
  size_t bytes = 0;
  for_each_matrix(
      weights, [&](MatrixRole, const Weight& weight) { bytes += aligned_bytes(weight, layout); });
  if (memory.host_addressable()) return bytes;
  bytes += aligned(weights.embedding.bytes());
  for_each_vector(weights, [&](const std::span<const float>& vector) {
    bytes += aligned(vector.size_bytes());
  });
  return bytes;
}

PreparedWeights prepare(const ModelWeights& weights, Backend& backend, bool release_file,
                        const LoadProgress& progress) {
  Memory& memory = backend.memory();
  const WeightLayout layout = backend.weight_layout();
  PreparedWeights result{weights, Buffer(prepared_bytes(weights, layout, memory), memory)};
  std::byte* out = result.memory.data();
  const auto report = [&] {
    if (progress) progress(out - result.memory.data(), static_cast<int64_t>(result.memory.size()));
  };
  for_each_matrix(result.weights, [&](MatrixRole, Weight& weight) {
    backend.prepare(weight, out);
    if (release_file) release_pages({weight.data, weight.bytes()});
    weight.data = out;
    weight.layout = layout;
    out += aligned_bytes(weight, layout);
    report();
  });
  if (memory.host_addressable()) return result;
  const auto move_in = [&](const void* from, size_t bytes) {
    std::byte* const to = out;
    memory.copy_in(to, from, bytes);
    out += aligned(bytes);
    return to;
  };
  Weight& embedding = result.weights.embedding;
  embedding.data = move_in(embedding.data, embedding.bytes());
  for_each_vector(result.weights, [&](std::span<const float>& vector) {
    if (vector.empty()) return;  // a layer without it
    const std::byte* to = move_in(vector.data(), vector.size_bytes());
    vector = {reinterpret_cast<const float*>(to), vector.size()};
  });
  report();
  return result;
}

}  // namespace tidal
