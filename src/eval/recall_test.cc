#include "eval/recall.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace tidal::test {
namespace {

// Two heads that share one KV head, three layers, four rows.
constexpr AttentionShape kShape = {3, 2, 1, 2, 4};

// Picks of a layer: two rows of every list.
struct Picks {
  std::vector<int32_t> rows;
  std::vector<int64_t> counts;
  Selection selection() {
    return {static_cast<int32_t>(counts.size()), 2, rows.data(), counts.data(), nullptr};
  }
};

TEST(Recall, OverlapAndMassOfOneSet) {
  Picks picks[] = {{{0, 1}, {2}}, {{1, 3}, {2}}, {{0, 1}, {2}}};
  const Selection selections[] = {picks[0].selection(), picks[1].selection(), picks[2].selection()};
  const std::vector<float> probability = {0.5f, 0.25f, 0.25f, 0, 0, 0.5f, 0, 0.5f};
  LayerOverlap overlaps(kShape, HeadScope::kAll);
  for (int32_t layer = 0; layer < 3; ++layer) {
    overlaps.add({.layer = layer,
                  .position = 3,
                  .probability = probability,
                  .picks = std::span(selections).first(static_cast<size_t>(layer) + 1)});
  }
  EXPECT_EQ(overlaps.samples(), 1);
  EXPECT_DOUBLE_EQ(overlaps.overlap(0, 0), 1);
  EXPECT_DOUBLE_EQ(overlaps.overlap(0, 1), 0.5);
  EXPECT_DOUBLE_EQ(overlaps.overlap(0, 2), 1);
  EXPECT_DOUBLE_EQ(overlaps.overlap(1, 2), 0.5);
  EXPECT_DOUBLE_EQ(overlaps.mass(0, 2), (0.75 + 0.5) / 2);  // rows 0 and 1 of both heads
  EXPECT_DOUBLE_EQ(overlaps.mass(1, 2), (0.25 + 1.0) / 2);  // rows 1 and 3

  LayerPlan plan;
  plan.scope = HeadScope::kAll;
  plan.layers = {
      {LayerRole::kSelect, -1, {}}, {LayerRole::kSparse, 0, {}}, {LayerRole::kSparse, 0, {}}};
  EXPECT_DOUBLE_EQ(recall_of(plan, overlaps).recall, (0.5 + 1) / 2);
  EXPECT_DOUBLE_EQ(recall_of(plan, overlaps).mass, (overlaps.mass(0, 1) + overlaps.mass(0, 2)) / 2);
  plan.layers = {
      {LayerRole::kFull, -1, {}}, {LayerRole::kFull, -1, {}}, {LayerRole::kFull, -1, {}}};
  EXPECT_EQ(recall_of(plan, overlaps).recall, 1);
}

TEST(Recall, OverlapPerQueryHead) {
  Picks picks[] = {{{0, 1, 2, 3}, {2, 2}}, {{0, 1, 0, 1}, {2, 2}}};
  const Selection selections[] = {picks[0].selection(), picks[1].selection()};
  const std::vector<float> probability = {0.5f, 0.25f, 0.25f, 0, 0, 0.5f, 0, 0.5f};
  AttentionShape shape = kShape;
  shape.n_layers = 2;
  LayerOverlap overlaps(shape, HeadScope::kQueryHead);
  for (int sample = 0; sample < 2; ++sample) {
    for (int32_t layer = 0; layer < 2; ++layer) {
      overlaps.add({.layer = layer,
                    .position = 3,
                    .probability = probability,
                    .picks = std::span(selections).first(static_cast<size_t>(layer) + 1)});
    }
  }
  EXPECT_EQ(overlaps.samples(), 2);
  EXPECT_DOUBLE_EQ(overlaps.overlap(0, 1), 0.5);            // all of head 0's, none of head 1's
  EXPECT_DOUBLE_EQ(overlaps.mass(0, 1), (0.75 + 0.5) / 2);  // each head on its own list
}

TEST(Recall, CosineOfNeighbours) {
  EXPECT_DOUBLE_EQ(cosine(std::vector<float>{1, 0}, std::vector<float>{1, 1}), std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(cosine(std::vector<float>{1, 2}, std::vector<float>{-2, -4}), -1);
  EXPECT_EQ(cosine(std::vector<float>{0, 0}, std::vector<float>{1, 1}), 0);

  AttentionShape shape = kShape;
  shape.n_layers = 2;
  NeighbourCosine cosines(shape, 2);
  for (int64_t sample = 0; sample < 2; ++sample) {
    const std::vector<float> first = {1, 0, 0, 1};
    const std::vector<float> second = {1, 1, 0, sample == 0 ? 1.0f : -1.0f};
    cosines.add(
        {.layer = 0, .sample = sample, .position = 1, .probability = first, .output = second});
    cosines.add(
        {.layer = 1, .sample = sample, .position = 1, .probability = second, .output = first});
  }
  EXPECT_DOUBLE_EQ(cosines.attention(0, 0), std::sqrt(0.5));
  EXPECT_DOUBLE_EQ(cosines.attention(0, 1), 0);  // 1 and -1
  EXPECT_DOUBLE_EQ(cosines.output(0, 0), std::sqrt(0.5));
}

}  // namespace
}  // namespace tidal::test
