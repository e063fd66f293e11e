// TinyGguf: the smallest llama as a GGUF file, with every field open to change.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "files/gguf_writer_test_util.h"
#include "model/gguf_config.h"
#include "model/weight_loader.h"
#include "testing/error.h"

namespace tidal::test {

struct TinyGguf {
  std::string architecture = "llama";
  // By key, without the architecture's name.
  std::map<std::string, uint32_t> ints = {{"block_count", 1},
                                          {"embedding_length", 16},
                                          {"feed_forward_length", 24},
                                          {"attention.head_count", 2},
                                          {"attention.head_count_kv", 1},
                                          {"context_length", 64},
                                          {"vocab_size", 5}};
  std::map<std::string, std::vector<uint32_t>> arrays;
  std::map<std::string, float> floats;
  std::map<std::string, std::string> strings;
  std::map<std::string, std::vector<uint64_t>> tensors = {  // innermost first
      {"token_embd.weight", {16, 5}},         {"output_norm.weight", {16}},
      {"blk.0.attn_norm.weight", {16}},       {"blk.0.attn_q.weight", {16, 16}},
      {"blk.0.attn_k.weight", {16, 8}},       {"blk.0.attn_v.weight", {16, 8}},
      {"blk.0.attn_output.weight", {16, 16}}, {"blk.0.ffn_norm.weight", {16}},
      {"blk.0.ffn_gate.weight", {16, 24}},    {"blk.0.ffn_up.weight", {16, 24}},
      {"blk.0.ffn_down.weight", {24, 16}}};

  std::vector<std::byte> bytes() const {
    GgufTestWriter writer(tensors.size(),
                          2 + ints.size() + arrays.size() + floats.size() + strings.size());
    const std::string prefix = architecture + ".";
    writer.entry("general.architecture", architecture);
    writer.entry(prefix + "attention.layer_norm_rms_epsilon", GgufType::kFloat32, 1e-5f);
    for (const auto& [key, value] : ints) writer.entry(prefix + key, GgufType::kUint32, value);
    for (const auto& [key, values] : arrays) {
      writer.array(prefix + key, GgufType::kUint32, values.size());
      for (const uint32_t value : values) writer.put(value);
    }
    for (const auto& [key, value] : floats) writer.entry(prefix + key, GgufType::kFloat32, value);
    for (const auto& [key, value] : strings) writer.entry(prefix + key, value);
    uint64_t offset = 0;
    for (const auto& [name, dimensions] : tensors) {
      writer.tensor(name, dimensions, 0, offset);
      uint64_t n_bytes = 4;
      for (const uint64_t n : dimensions) n_bytes *= n;
      offset += (n_bytes + 31) / 32 * 32;
    }
    writer.align().zeros(offset);
    return writer.bytes();
  }

  // What was read, after checking its weights.
  Config load() const {
    const std::vector<std::byte> content = bytes();
    const GgufFile file = GgufFile::parse(content, "test.gguf");
    Config config = read_gguf_config(file);
    const TensorSource source{"test.gguf",
                              [&](std::string_view name) { return file.find_tensor(name); },
                              file.tensors(), &kGgufNames, /*ignores_leading_ones=*/true};
    const LoadedWeights loaded = load_weights(source, config);
    EXPECT_EQ(loaded.weights.layers.size(), static_cast<size_t>(config.n_layers()));
    return config;
  }

  void expect(ErrorCode code, std::vector<std::string> parts) const {
    parts.push_back("test.gguf");
    expect_error(code, parts, [&] { load(); });
  }
};

}  // namespace tidal::test
