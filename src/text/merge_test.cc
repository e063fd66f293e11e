#include "text/merge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "text/merge_table.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using Rules = std::map<std::pair<int32_t, int32_t>, Merge>;

Merge apply(const Rules& rules, int32_t a, int32_t b) {
  const auto found = rules.find({a, b});
  return found == rules.end() ? Merge{0, -1} : found->second;
}

// By definition: look at all neighbours, merge the best, leftmost first, and repeat.
std::vector<int32_t> merge_slowly(const Rules& rules, std::vector<int32_t> ids) {
  while (true) {
    size_t best = ids.size();
    Merge best_merge = {UINT32_MAX, -1};
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const Merge merge = apply(rules, ids[i], ids[i + 1]);
      if (merge.merged >= 0 && (best == ids.size() || merge.rank < best_merge.rank)) {
        best = i;
        best_merge = merge;
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = best_merge.merged;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(Merge, EqualsTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    Rules rules;
    for (int i = 0; i < 12; ++i) {
      rules[{random() % 7, random() % 7}] = {static_cast<uint32_t>(random() % 6),
                                             static_cast<int32_t>(random() % 7)};
    }
    std::vector<int32_t> ids(random() % 30);
    MergeBuffers buffers;
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = static_cast<int32_t>(random() % 7);
      buffers.add(static_cast<uint32_t>(i), 1, ids[i]);
    }
    merge_symbols(&buffers,
                  [&](const Symbol& a, const Symbol& b) { return apply(rules, a.id, b.id); });
    std::vector<int32_t> merged;
    for (const Symbol& symbol : buffers.symbols) {
      if (symbol.length > 0) merged.push_back(symbol.id);
    }
    ASSERT_EQ(merged, merge_slowly(rules, ids));
  }
}

TEST(MergeTable, FindsWhatWasInserted) {
  std::mt19937 random(4);
  Rules rules;
  MergeTable table(500);
  for (int i = 0; i < 500; ++i) {
    const auto left = static_cast<int32_t>(random() % 90);
    const auto right = static_cast<int32_t>(random() % 90);
    const Merge merge = {static_cast<uint32_t>(i), i};
    table.insert(left, right, merge);
    rules.try_emplace({left, right}, merge);
  }
  for (int32_t left = 0; left < 90; ++left) {
    for (int32_t right = 0; right < 90; ++right) {
      EXPECT_EQ(table.lookup(left, right).merged, apply(rules, left, right).merged);
    }
  }
  EXPECT_EQ(MergeTable(0).lookup(1, 2).merged, -1);
}

}  // namespace
}  // namespace tidal::test
