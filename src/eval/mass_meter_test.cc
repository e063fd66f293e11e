#include "eval/mass_meter.h"

#include <gtest/gtest.h>

#include <array>

namespace tidal::test {
namespace {

// Two layers, two query heads on one KV head, six rows.
constexpr AttentionShape kShape = {2, 2, 1, 8, 6};

struct Picks {
  std::vector<int32_t> rows;
  int64_t count;
  Selection selection() { return {1, count, rows.data(), &count, nullptr}; }
};

TEST(MassMeter, RecoveredMassByHand) {
  MassMeter meter(kShape, {.budget = 4, .sinks = 1, .recent = 2});
  Picks first = {{0, 2, 4, 5}, 4};
  Picks second = {{0, 3, 4, 5}, 4};
  const Selection picks[] = {first.selection(), second.selection()};
  // The mass is that of rows 1 to 3: row 0 is a sink, rows 4 and 5 are recent.
  const std::array<float, 12> in_first = {0.5f,  0.125f, 0.125f, 0,     0.25f, 0,
                                          0.25f, 0,      0.25f,  0.25f, 0.25f, 0};
  const std::array<float, 12> in_second = {0, 0.25f, 0.125f, 0.5f,   0.125f, 0,
                                           1, 0,     0,      0.125f, 0,      0};
  meter.add({.layer = 0,
             .position = 5,
             .scores = {},
             .probability = in_first,
             .output = {},
             .picks = std::span(picks).first(1)});
  meter.add({.layer = 1,
             .position = 5,
             .scores = {},
             .probability = in_second,
             .output = {},
             .picks = picks});
  const RecoveredMass mean = meter.mean();
  EXPECT_DOUBLE_EQ(mean.at(0, 0), 0.375 / 0.75) << "row 2 of rows 1, 2, 3";
  EXPECT_DOUBLE_EQ(mean.at(0, 1), 0.125 / 1.0);
  EXPECT_DOUBLE_EQ(mean.at(1, 1), 0.625 / 1.0);
  EXPECT_EQ(mean.at(1, 0), 0);
}

TEST(MassMeter, PositionsCountAlike) {
  MassMeter meter({1, 1, 1, 8, 4}, {.budget = 2, .sinks = 0, .recent = 1});
  Picks one = {{0, 3}, 2};
  const Selection picks[] = {one.selection()};
  const std::array<float, 4> all_picked = {0.001f, 0, 0, 0.999f};
  const std::array<float, 4> none_picked = {0, 0.5f, 0.4f, 0.1f};
  for (const auto& probability : {all_picked, none_picked}) {
    meter.add({.layer = 0,
               .position = 3,
               .scores = {},
               .probability = probability,
               .output = {},
               .picks = picks});
  }
  EXPECT_DOUBLE_EQ(meter.mean().at(0, 0), 0.5);
}

}  // namespace
}  // namespace tidal::test
