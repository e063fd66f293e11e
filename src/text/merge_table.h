// (left token, right token) -> rank and merged token: a flat open-addressing table, 32 to 64 bytes
// per entry. Filled once, then immutable and thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/merge.h"

namespace tidal {

class MergeTable {
 public:
  explicit MergeTable(size_t max_entries);

  // From "left right" lines, best first; find gives the id of a token's text, or -1; a merge whose
  // result may_make rejects is skipped. Throws Error(kCorrupt) naming a merge that is malformed or
  // not made of known tokens.
  static MergeTable from_lines(const std::vector<std::string>& merges,
                               const std::function<int32_t(std::string_view)>& find,
                               const std::function<bool(int32_t)>& may_make,
                               const std::string& source);

  // Of two entries for one pair the first wins.
  void insert(int32_t left, int32_t right, Merge merge);

  Merge lookup(int32_t left, int32_t right) const {
    const uint64_t key = pack(left, right);
    for (size_t at = slot(key);; at = (at + 1) & mask_) {
      if (entries_[at].key == key) return entries_[at].merge;
      if (entries_[at].key == kEmpty) return {0, -1};
    }
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};

  struct Entry {
    uint64_t key = kEmpty;
    Merge merge = {0, -1};
  };

  static uint64_t pack(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t slot(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u >> 20) & mask_; }

  std::vector<Entry> entries_;
  size_t mask_ = 0;
};

}  // namespace tidal
