#include "tensor/panels.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace tidal::test {
namespace {

constexpr DType kAllTypes[] = {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) DType::k##name,
#include "tensor/formats.def"
#undef TIDAL_FORMAT
};

// Bytes of each field of a block, written down by hand.
std::vector<int> field_widths(DType type) {
  const auto fields = [](int halves, int words, int last_halves) {
    std::vector<int> widths(static_cast<size_t>(halves), 2);
    widths.insert(widths.end(), static_cast<size_t>(words), 4);
    widths.insert(widths.end(), static_cast<size_t>(last_halves), 2);
    return widths;
  };
  switch (type) {
    case DType::kF32:
      return fields(0, 1, 0);
    case DType::kF16:
    case DType::kBF16:
      return fields(1, 0, 0);
    case DType::kQ4_0:
    case DType::kIQ4_NL:
      return fields(1, 4, 0);
    case DType::kQ4_1:
      return fields(2, 4, 0);
    case DType::kQ5_0:
      return fields(1, 5, 0);
    case DType::kQ5_1:
      return fields(2, 5, 0);
    case DType::kQ8_0:
      return fields(1, 8, 0);
    case DType::kQ4_K:
      return fields(2, 35, 0);
    case DType::kQ5_K:
      return fields(2, 43, 0);
    case DType::kQ6_K:
      return fields(0, 52, 1);
  }
  return {};
}

struct Rows {
  std::vector<std::byte> bytes;
  Weight weight;

  // At an unaligned address.
  Rows(DType type, int64_t rows, int64_t cols) : weight{type, rows, cols, nullptr} {
    bytes.resize(weight.bytes() + 1);
    std::mt19937 random(static_cast<uint32_t>(rows + cols));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    weight.data = bytes.data() + 1;
  }
};

class Panels : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(AllFormats, Panels, testing::ValuesIn(kAllTypes),
                         [](const auto& tested) { return std::string(dtype_name(tested.param)); });

TEST_P(Panels, PutTheFieldsOfSixteenRowsSideBySideAndBack) {
  const DTypeInfo& info = dtype_info(GetParam());
  for (const int64_t rows : {1, 15, 16, 17, 48, 53}) {
    const Rows in(GetParam(), rows, 3 * int64_t{info.block_size});
    Weight panels = in.weight;
    panels.layout = WeightLayout::kPanels;
    ASSERT_EQ(panels.stored_bytes(),
              static_cast<size_t>((rows + 15) / 16 * 16) * in.weight.row_bytes());
    std::vector<std::byte> bytes(panels.stored_bytes(), std::byte{0xab});
    // In two parts, as threads do it.
    const int64_t half = panels.n_panels() / 2;
    rows_to_panels(in.weight, 0, half, bytes.data());
    const size_t half_bytes = static_cast<size_t>(half * kPanelRows) * panels.row_bytes();
    rows_to_panels(in.weight, half, panels.n_panels() - half, bytes.data() + half_bytes);

    const std::byte* at = bytes.data();
    for (int64_t panel = 0; panel < panels.n_panels(); ++panel) {
      size_t offset = 0;  // in a row
      for (int block = 0; block < 3; ++block) {
        for (const int width : field_widths(GetParam())) {
          for (int64_t row = panel * 16; row < panel * 16 + 16; ++row, at += width) {
            const std::byte zeros[4] = {};
            const std::byte* expected = row < rows ? in.weight.row(row) + offset : zeros;
            ASSERT_EQ(std::memcmp(at, expected, static_cast<size_t>(width)), 0)
                << rows << " rows, row " << row << ", byte " << offset;
          }
          offset += static_cast<size_t>(width);
        }
      }
      ASSERT_EQ(offset, in.weight.row_bytes());
    }

    panels.data = bytes.data();
    std::vector<std::byte> again(in.weight.bytes());
    panels_to_rows(panels, 0, half, again.data());
    panels_to_rows(panels, half, panels.n_panels() - half,
                   again.data() + static_cast<size_t>(half * kPanelRows) * panels.row_bytes());
    EXPECT_EQ(std::memcmp(again.data(), in.weight.data, again.size()), 0) << rows << " rows";
  }
}

}  // namespace
}  // namespace tidal::test
