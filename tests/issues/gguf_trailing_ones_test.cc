// Tensors whose outermost dimensions of 1 are written out were refused; to GGUF [n] and [n, 1, 1,
// 1] are the same shape.
#include <gtest/gtest.h>

#include "model/tiny_gguf_test_util.h"

namespace tidal::test {
namespace {

TEST(GgufTrailingOnes, AreNoDimensions) {
  for (size_t rank = 1; rank <= 4; ++rank) {
    TinyGguf file;
    for (auto& [name, dimensions] : file.tensors) {
      if (dimensions.size() < rank) dimensions.resize(rank, 1);
    }
    file.load();
  }
}

TEST(GgufTrailingOnes, OnlyOnes) {
  for (const auto& [name, dimensions] : TinyGguf().tensors) {
    TinyGguf file;
    file.tensors[name].push_back(2);
    file.expect(ErrorCode::kCorrupt, {name, "shape"});
    file.tensors[name] = dimensions;
    file.tensors[name].insert(file.tensors[name].begin(), 1);  // innermost
    file.expect(ErrorCode::kCorrupt, {name, "shape"});
  }
}

}  // namespace
}  // namespace tidal::test
