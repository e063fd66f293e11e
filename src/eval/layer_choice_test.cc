#include "eval/layer_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tidal::test {
namespace {

using testing::ElementsAre;

RecoveredMass random_mass(int32_t n_layers, std::mt19937& random) {
  RecoveredMass mass(n_layers);
  for (int32_t i = 0; i < n_layers; ++i) {
    for (int32_t j = i; j < n_layers; ++j)
      mass.at(i, j) = static_cast<double>(random() % 1000) / 999;
  }
  return mass;
}

// By definition, one layer after the other.
double recovered_of(const RecoveredMass& mass, const std::vector<int32_t>& full, uint32_t select,
                    bool own) {
  double sum = 0;
  int32_t n = 0;
  int32_t source = -1;
  for (int32_t layer = 0; layer < mass.n_layers; ++layer) {
    if (std::find(full.begin(), full.end(), layer) != full.end()) continue;
    const bool selects = (select >> layer & 1) != 0;
    if (selects) source = layer;
    if (source < 0) return -1;
    sum += selects && !own ? 1.0 : mass.at(source, layer);
    ++n;
  }
  return sum / n;
}

TEST(LayerChoice, MatchesEverySetTried) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const auto n_layers = static_cast<int32_t>(3 + random() % 7);
    const RecoveredMass mass = random_mass(n_layers, random);
    std::vector<int32_t> full;
    for (int32_t layer = 0; layer < n_layers - 1; ++layer) {
      if (random() % 4 == 0) full.push_back(layer);
    }
    const auto n_thin = n_layers - static_cast<int32_t>(full.size());
    const auto n_select = static_cast<int32_t>(1 + random() % static_cast<uint32_t>(n_thin));
    const bool own = random() % 2 == 0;
    std::vector<double> tried;
    for (uint32_t set = 0; set < 1u << n_layers; ++set) {
      const bool full_selects = std::any_of(full.begin(), full.end(),
                                            [&](int32_t layer) { return (set >> layer & 1) != 0; });
      if (__builtin_popcount(set) != n_select || full_selects) continue;
      const double recovered = recovered_of(mass, full, set, own);
      if (recovered >= 0) tried.push_back(recovered);
    }
    std::sort(tried.rbegin(), tried.rend());
    const auto found = choose_layers(mass, full, n_select, own, 5);
    ASSERT_EQ(found.size(), std::min<size_t>(5, tried.size()));
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i].recovered, tried[i], 1e-12);
      EXPECT_NEAR(mean_recovered(mass, full, found[i].select, own), tried[i], 1e-12);
      EXPECT_TRUE(std::is_sorted(found[i].select.begin(), found[i].select.end()));
      EXPECT_EQ(std::ssize(found[i].select), n_select);
    }
  }
}

TEST(LayerChoice, ASmallCaseByHand) {
  RecoveredMass mass(4);  // layer 0 is full; 1 selects; 2 and 3 are left
  mass.at(1, 1) = 0.9;
  mass.at(1, 2) = 0.2;
  mass.at(1, 3) = 0.1;
  mass.at(2, 2) = 0.8;
  mass.at(2, 3) = 0.6;
  mass.at(3, 3) = 0.9;
  const int32_t full[] = {0};
  const auto choices = choose_layers(mass, full, 2, true, 9);
  ASSERT_EQ(choices.size(), 2u);
  EXPECT_THAT(choices[0].select, ElementsAre(1, 2));
  EXPECT_DOUBLE_EQ(choices[0].recovered, (0.9 + 0.8 + 0.6) / 3);
  EXPECT_THAT(choices[1].select, ElementsAre(1, 3));
  EXPECT_DOUBLE_EQ(choices[1].recovered, (0.9 + 0.2 + 0.9) / 3);
  EXPECT_DOUBLE_EQ(choose_layers(mass, full, 3, false, 1).front().recovered, 1.0);
}

TEST(LayerChoice, EqualSetsComeInOrder) {
  const auto choices = choose_layers(RecoveredMass(5), {}, 2, true, 3);
  ASSERT_EQ(choices.size(), 3u);
  EXPECT_THAT(choices[0].select, ElementsAre(0, 1));
  EXPECT_THAT(choices[1].select, ElementsAre(0, 2));
  EXPECT_THAT(choices[2].select, ElementsAre(0, 3));
}

TEST(LayerChoice, MixesByWeight) {
  RecoveredMass a(1);
  RecoveredMass b(1);
  a.at(0, 0) = 0.2;
  b.at(0, 0) = 1.0;
  EXPECT_DOUBLE_EQ(mix(a, b, 0.25).at(0, 0), 0.4);
}

}  // namespace
}  // namespace tidal::test
