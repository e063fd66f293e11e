#include "tensor/panels.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "tensor/format_headers.h"  // generated from formats.def: every formats/*.h it names

namespace tidal {
namespace {

// Copies n fields of kBytes from a row, where they are contiguous, to the row's lane of a panel,
// where they are kPanelRows places apart.
template <size_t kBytes, size_t kCount>
void spread(const std::byte* row, std::byte* lane) {
  for (size_t i = 0; i < kCount; ++i) {
    std::memcpy(lane + i * kBytes * kPanelRows, row + i * kBytes, kBytes);
  }
}
template <size_t kBytes, size_t kCount>
void gather(const std::byte* lane, std::byte* row) {
  for (size_t i = 0; i < kCount; ++i) {
    std::memcpy(row + i * kBytes, lane + i * kBytes * kPanelRows, kBytes);
  }
}

// How a block divides into fields, and where they are in the block of a panel.
template <typename Block>
struct Fields {
  static constexpr size_t kHalves = Block::kHeaderHalves;
  static constexpr size_t kWords = (sizeof(Block) - 2 * kHalves) / 4;
  static constexpr size_t kLastHalves = (sizeof(Block) - 2 * kHalves) % 4 / 2;
  static constexpr size_t kWordsAt = 2 * kHalves;
  static constexpr size_t kLastAt = kWordsAt + 4 * kWords;
  static_assert(kLastAt + 2 * kLastHalves == sizeof(Block));

  // Row r of the sixteen.
  static void block_to_lane(const std::byte* block, size_t r, std::byte* panel) {
    spread<2, kHalves>(block, panel + 2 * r);
    spread<4, kWords>(block + kWordsAt, panel + kPanelRows * kWordsAt + 4 * r);
    spread<2, kLastHalves>(block + kLastAt, panel + kPanelRows * kLastAt + 2 * r);
  }
  static void lane_to_block(const std::byte* panel, size_t r, std::byte* block) {
    gather<2, kHalves>(panel + 2 * r, block);
    gather<4, kWords>(panel + kPanelRows * kWordsAt + 4 * r, block + kWordsAt);
    gather<2, kLastHalves>(panel + kPanelRows * kLastAt + 2 * r, block + kLastAt);
  }
};

// n_rows <= kPanelRows rows; a row is row_bytes.
template <typename Block>
void make_panel(const std::byte* rows, size_t n_rows, size_t row_bytes, std::byte* panel) {
  for (size_t at = 0; at < row_bytes; at += sizeof(Block)) {
    for (size_t r = 0; r < n_rows; ++r) {
      Fields<Block>::block_to_lane(rows + r * row_bytes + at, r, panel + kPanelRows * at);
    }
  }
}
template <typename Block>
void make_rows(const std::byte* panel, size_t n_rows, size_t row_bytes, std::byte* rows) {
  for (size_t at = 0; at < row_bytes; at += sizeof(Block)) {
    for (size_t r = 0; r < n_rows; ++r) {
      Fields<Block>::lane_to_block(panel + kPanelRows * at, r, rows + r * row_bytes + at);
    }
  }
}

struct Conversions {
  void (*make_panel)(const std::byte* rows, size_t n_rows, size_t row_bytes, std::byte* panel);
  void (*make_rows)(const std::byte* panel, size_t n_rows, size_t row_bytes, std::byte* rows);
};

constexpr Conversions kConversions[] = {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) \
  {make_panel<Block##name>, make_rows<Block##name>},
#include "tensor/formats.def"
#undef TIDAL_FORMAT
};

size_t rows_of_panel(const Weight& weight, int64_t panel) {
  return static_cast<size_t>(std::min<int64_t>(kPanelRows, weight.rows - panel * kPanelRows));
}

}  // namespace

void rows_to_panels(const Weight& rows, int64_t first, int64_t n, std::byte* out) {
  TIDAL_CHECK(rows.layout == WeightLayout::kRows && first >= 0 && first + n <= rows.n_panels());
  const size_t row_bytes = rows.row_bytes();
  for (int64_t panel = first; panel < first + n; ++panel, out += kPanelRows * row_bytes) {
    const size_t n_rows = rows_of_panel(rows, panel);
    if (n_rows < kPanelRows) std::memset(out, 0, kPanelRows * row_bytes);
    kConversions[static_cast<size_t>(rows.dtype)].make_panel(rows.row(panel * kPanelRows), n_rows,
                                                             row_bytes, out);
  }
}

void panels_to_rows(const Weight& panels, int64_t first, int64_t n, std::byte* out) {
  TIDAL_CHECK(panels.layout == WeightLayout::kPanels && first >= 0 &&
              first + n <= panels.n_panels());
  const size_t row_bytes = panels.row_bytes();
  for (int64_t panel = first; panel < first + n; ++panel, out += kPanelRows * row_bytes) {
    const std::byte* from = panels.data + static_cast<size_t>(panel) * kPanelRows * row_bytes;
    kConversions[static_cast<size_t>(panels.dtype)].make_rows(from, rows_of_panel(panels, panel),
                                                              row_bytes, out);
  }
}

void copy_weight(const Weight& from, WeightLayout layout, ThreadPool& pool, std::byte* out) {
  constexpr int64_t kPanelsPerTask = 8;
  const int64_t n_panels = from.n_panels();
  pool.run((n_panels + kPanelsPerTask - 1) / kPanelsPerTask, [&](int64_t task, int) {
    const int64_t first = task * kPanelsPerTask;
    const int64_t n = std::min(kPanelsPerTask, n_panels - first);
    const size_t begin = static_cast<size_t>(first * kPanelRows) * from.row_bytes();
    if (from.layout == layout) {
      const size_t end = static_cast<size_t>((first + n) * kPanelRows) * from.row_bytes();
      std::memcpy(out + begin, from.data + begin, std::min(end, from.stored_bytes()) - begin);
    } else if (layout == WeightLayout::kPanels) {
      rows_to_panels(from, first, n, out + begin);
    } else {
      panels_to_rows(from, first, n, out + begin);
    }
  });
}

}  // namespace tidal
