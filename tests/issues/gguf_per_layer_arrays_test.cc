// Sizes that a GGUF file gives as an array of one value a layer were refused; some converters
// always write them so.
#include <gtest/gtest.h>

#include "model/tiny_gguf_test_util.h"

namespace tidal::test {
namespace {

constexpr const char* kSizes[] = {"feed_forward_length", "attention.head_count",
                                  "attention.head_count_kv"};

TinyGguf two_layers() {
  TinyGguf file;
  file.ints["block_count"] = 2;
  for (const auto& [name, dimensions] : TinyGguf().tensors) {
    if (name.starts_with("blk.0.")) file.tensors["blk.1." + name.substr(6)] = dimensions;
  }
  return file;
}

TEST(GgufPerLayerArrays, OneValueIsThatOfAllLayers) {
  const Config wanted = two_layers().load();
  TinyGguf file = two_layers();
  for (const char* key : kSizes) {
    file.arrays[key] = {file.ints.at(key), file.ints.at(key)};
    file.ints.erase(key);
  }
  const Config config = file.load();
  EXPECT_EQ(config.layers[0].d_ff, wanted.layers[0].d_ff);
  EXPECT_EQ(config.attention().n_heads, wanted.attention().n_heads);
  EXPECT_EQ(config.attention().n_kv_heads, wanted.attention().n_kv_heads);
}

TEST(GgufPerLayerArrays, SeveralValuesAreRefusedByName) {
  for (const char* key : kSizes) {
    TinyGguf file = two_layers();
    file.arrays[key] = {file.ints.at(key), 2 * file.ints.at(key)};
    file.ints.erase(key);
    file.expect(ErrorCode::kUnsupported, {key, "different sizes"});
  }
}

TEST(GgufPerLayerArrays, OneValueForEachLayer) {
  for (const char* key : kSizes) {
    TinyGguf file = two_layers();
    const uint32_t value = file.ints.at(key);
    file.ints.erase(key);
    for (const size_t n : {0, 1, 3}) {
      file.arrays[key].assign(n, value);
      file.expect(ErrorCode::kCorrupt, {key, "2 layers"});
    }
    file.arrays[key] = {0, 0};
    file.expect(ErrorCode::kCorrupt, {key, "not a size"});
  }
}

}  // namespace
}  // namespace tidal::test
