#include "eval/attention_capture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "runtime/session.h"
#include "testing/paths.h"
#include "testing/poison/poison_backend.h"  // the suite runs on it too

namespace tidal::test {
namespace {

TEST(AttentionCapture, ArithmeticOfSetsAndMass) {
  const std::vector<int32_t> a = {0, 2, 5, 9};
  const std::vector<int32_t> b = {2, 3, 9};
  EXPECT_EQ(common_rows(a, b), 2);
  EXPECT_DOUBLE_EQ(overlap(a, b), 2.0 / 3);
  EXPECT_DOUBLE_EQ(overlap(b, a), 2.0 / 4);
  EXPECT_DOUBLE_EQ(overlap({}, a), 0);
  EXPECT_DOUBLE_EQ(overlap(a, {}), 1);
  const std::vector<float> probability = {0.5f, 0.25f, 0.125f, 0.125f};
  const std::vector<int32_t> rows = {0, 3};
  EXPECT_DOUBLE_EQ(recovered_mass(probability, rows), 0.625);
  EXPECT_DOUBLE_EQ(recovered_mass(probability, {}), 0);
}

TEST(AttentionCapture, SamplesAreSpreadEvenly) {
  EXPECT_EQ(sample_positions(0, 12, 3), (std::vector<int64_t>{2, 6, 10}));
  EXPECT_EQ(sample_positions(100, 103, 9), (std::vector<int64_t>{100, 101, 102}));
  EXPECT_TRUE(sample_positions(5, 5, 3).empty());
}

struct Seen {
  std::vector<float> scores;
  std::vector<float> probability;
  std::vector<float> output;
  std::vector<std::vector<std::vector<int32_t>>> picks;  // [layer][list]
};
using SeenAt = std::map<std::pair<int64_t, int32_t>, Seen>;  // by position and layer

SeenAt capture(const CaptureOptions& options, int32_t chunk, const std::string& backend = "cpu") {
  static const auto model = Model::load(data_path("tiny-llama.gguf"));
  EngineOptions engine;
  engine.threads = 1;
  engine.prefill_chunk = chunk;
  engine.backend = backend;
  Session session(model, engine, {}, 100);
  const Config& config = model->config();
  const AttentionShape shape = {config.n_layers(), config.attention().n_heads,
                                config.attention().n_kv_heads, config.attention().head_dim, 100};
  SeenAt seen;
  AttentionCapture observer(session.backend(), shape, options, {0, 20, 63, 64, 99},
                            [&](const CapturedAttention& at) {
                              Seen& here = seen[{at.position, at.layer}];
                              here.scores.assign(at.scores.begin(), at.scores.end());
                              here.probability.assign(at.probability.begin(), at.probability.end());
                              here.output.assign(at.output.begin(), at.output.end());
                              for (const Selection& picks : at.picks) {
                                auto& lists = here.picks.emplace_back();
                                for (int32_t i = 0; i < picks.n_lists; ++i) {
                                  lists.emplace_back(picks.list(i).begin(), picks.list(i).end());
                                }
                              }
                            });
  session.observe(&observer);
  std::vector<int32_t> tokens(100);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = 3 + static_cast<int32_t>(i * i + i / 7) % 200;
  }
  session.prefill(tokens);
  return seen;
}

TEST(AttentionCapture, PicksAreTheLargestSumsOfProbabilities) {
  const SeenAt seen = capture({.budget = 10, .sinks = 2, .recent = 3}, 32);
  ASSERT_EQ(seen.size(), 5u * 4);
  for (const auto& [at, here] : seen) {
    const auto [position, layer] = at;
    const auto n = static_cast<size_t>(position + 1);
    ASSERT_EQ(here.scores.size(), 4 * n);
    ASSERT_EQ(std::ssize(here.picks), layer + 1);
    std::vector<double> pooled(n);
    for (size_t head = 0; head < 4; ++head) {
      const auto first = here.probability.begin() + static_cast<int64_t>(head * n);
      EXPECT_NEAR(std::accumulate(first, first + static_cast<int64_t>(n), 0.0), 1, 1e-5);
      for (size_t i = 0; i < n; ++i) pooled[i] += double{first[static_cast<int64_t>(i)]};
      // Probabilities are proportional to exp(score).
      EXPECT_NEAR(std::log(double{first[0]} / double{first[static_cast<int64_t>(n) - 1]}),
                  here.scores[head * n] - here.scores[head * n + n - 1], 1e-3);
    }
    const std::vector<int32_t>& picks = here.picks.back().front();
    ASSERT_EQ(picks.size(), std::min<size_t>(10, n));
    const auto chosen = [&](size_t row) {
      return std::binary_search(picks.begin(), picks.end(), static_cast<int32_t>(row));
    };
    double least = 1e9;
    double most = 0;
    for (size_t i = 0; i < n; ++i) {
      if (i < 2 || i + 3 >= n) {
        EXPECT_TRUE(chosen(i)) << position << " " << layer << " " << i;
      } else if (chosen(i)) {
        least = std::min(least, pooled[i]);
      } else {
        most = std::max(most, pooled[i]);
      }
    }
    EXPECT_GE(least, most - 1e-6);
    // What a later layer sees of an earlier one is what that layer picked.
    EXPECT_EQ(here.picks.front(), seen.at({position, 0}).picks.front());
  }
}

TEST(AttentionCapture, ChunksDoNotMatter) {
  const CaptureOptions options = {
      .scope = HeadScope::kQueryHead, .pooling = Pooling::kRaw, .budget = 7};
  const SeenAt small = capture(options, 16);
  const SeenAt large = capture(options, 100);
  ASSERT_EQ(small.size(), large.size());
  for (const auto& [at, here] : large) {
    EXPECT_EQ(here.picks, small.at(at).picks);
    EXPECT_EQ(here.scores, small.at(at).scores);
    EXPECT_EQ(here.picks.back().size(), 4u);  // one list per query head
  }
}

TEST(AttentionCapture, OutputIsTheAttentionOfTheSamePosition) {
  const SeenAt cpu = capture({.scope = HeadScope::kKvHead, .budget = 8}, 100);
  const SeenAt reference = capture({.scope = HeadScope::kKvHead, .budget = 8}, 100, "reference");
  for (const auto& [at, here] : reference) {
    ASSERT_EQ(here.picks.back().size(), 2u);
    const Seen& other = cpu.at(at);
    ASSERT_EQ(here.output.size(), 4u * 16);
    for (size_t i = 0; i < here.output.size(); ++i) {
      EXPECT_NEAR(here.output[i], other.output[i], 2e-2) << at.first << " " << at.second;
    }
  }
}

}  // namespace
}  // namespace tidal::test
