#include "text/merge_table.h"

#include <bit>

#include "base/fail.h"

namespace tidal {

MergeTable::MergeTable(size_t max_entries)
    : entries_(std::bit_ceil(2 * max_entries + 2)), mask_(entries_.size() - 1) {}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = pack(left, right);
  size_t at = slot(key);
  while (entries_[at].key != kEmpty && entries_[at].key != key) at = (at + 1) & mask_;
  if (entries_[at].key == kEmpty) entries_[at] = {key, merge};
}

MergeTable MergeTable::from_lines(const std::vector<std::string>& merges,
                                  const std::function<int32_t(std::string_view)>& find,
                                  const std::function<bool(int32_t)>& may_make,
                                  const std::string& source) {
  if (merges.size() > UINT32_MAX) {
    fail(ErrorCode::kUnsupported, "{}: too many merges ({})", source, merges.size());
  }
  MergeTable table(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string_view text = merges[rank];
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == text.size()) {
      fail(ErrorCode::kCorrupt, "{}: merge {} (\"{}\") is not two tokens with a space between",
           source, rank, text);
    }
    const std::string_view left = text.substr(0, space);
    const std::string_view right = text.substr(space + 1);
    const int32_t ids[3] = {find(left), find(right), find(std::string(left) + std::string(right))};
    if (ids[0] < 0 || ids[1] < 0 || ids[2] < 0) {
      fail(ErrorCode::kCorrupt, "{}: merge {} (\"{}\") names a token the vocabulary does not have",
           source, rank, text);
    }
    if (may_make(ids[2])) table.insert(ids[0], ids[1], {static_cast<uint32_t>(rank), ids[2]});
  }
  return table;
}

}  // namespace tidal
