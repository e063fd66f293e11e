#include "eval/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "eval/perplexity.h"
#include "runtime/model_options.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

std::vector<float> logs(const std::vector<double>& probabilities, double shift = 0) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + shift));
  return logits;
}

TEST(Divergence, OfKnownDistributions) {
  FullDistribution full;
  full.set(logs({0.5, 0.25, 0.25}, 3));
  const TokenDivergence token = full.compare(logs({0.25, 0.5, 0.25}, -7), 1);
  // 0.5 log 2 + 0.25 log 0.5 + 0
  EXPECT_NEAR(token.kld, 0.25 * std::log(2.0), 1e-6);
  EXPECT_NEAR(token.log_probability, std::log(0.5), 1e-6);
  EXPECT_NEAR(token.log_probability_full, std::log(0.25), 1e-6);
  EXPECT_FALSE(token.same_top);
  const TokenDivergence itself = full.compare(logs({0.5, 0.25, 0.25}, 3), 0);
  EXPECT_EQ(itself.kld, 0);
  EXPECT_TRUE(itself.same_top);
  EXPECT_NEAR(full.compare(logs({0.5, 0.25, 0.25}, 80), 0).kld, 0, 1e-5);
}

TEST(Divergence, QuantilesAreLinearBetweenRanks) {
  const std::vector<double> values = {1, 2, 4, 8, 16};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 0.5), 4);
  EXPECT_EQ(quantile(values, 1), 16);
  EXPECT_DOUBLE_EQ(quantile(values, 0.9), 8 + 0.6 * 8);
  EXPECT_EQ(quantile(std::vector<double>{3}, 0.99), 3);
}

TEST(Divergence, SummaryOfKnownTokens) {
  const std::vector<TokenDivergence> tokens = {
      {0.1, std::log(0.5), std::log(0.25), true},
      {0.2, std::log(0.125), std::log(0.5), false},
      {0.6, std::log(0.25), std::log(0.25), true},
  };
  const DivergenceSummary sum = summarize(tokens);
  EXPECT_EQ(sum.tokens, 3);
  EXPECT_NEAR(sum.mean, 0.3, 1e-12);
  // Squares of -0.2, -0.1, 0.3: 0.14; variance 0.07; of the mean 0.07 / 3.
  EXPECT_NEAR(sum.standard_error, std::sqrt(0.07 / 3), 1e-12);
  EXPECT_NEAR(sum.p50, 0.2, 1e-12);
  EXPECT_NEAR(sum.p90, 0.2 + 0.8 * 0.4, 1e-12);
  EXPECT_NEAR(sum.max, 0.6, 1e-12);
  EXPECT_NEAR(sum.same_top, 2.0 / 3, 1e-12);
  EXPECT_NEAR(sum.rms_dp, std::sqrt((0.0625 + 0.140625) / 3), 1e-12);
  EXPECT_NEAR(sum.perplexity, 4, 1e-9);                     // (2 * 8 * 4)^(1/3)
  EXPECT_NEAR(sum.perplexity_full, std::cbrt(32.0), 1e-9);  // (4 * 2 * 4)^(1/3)
  EXPECT_EQ(summarize(std::span<const TokenDivergence>()).tokens, 0);
}

class DivergenceRun : public testing::Test {
 protected:
  std::shared_ptr<const AttentionMethod> method(const std::string& name, const std::string& plan) {
    return method_for(*model_, options(name, plan), engine());
  }
  static MethodOptions options(const std::string& name, const std::string& plan) {
    MethodOptions result;
    result.name = name;
    result.plan = plan;
    result.min_context = 0;
    return result;
  }
  static EngineOptions engine() {
    EngineOptions result;
    result.threads = 1;
    return result;
  }
  static std::vector<int32_t> tokens() {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 120; ++i) ids.push_back(3 + (i * i + i / 7) % 200);
    return ids;
  }
  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
};

TEST_F(DivergenceRun, EveryMethodGivesWhatItGivesAlone) {
  const std::vector<std::pair<std::string, std::string>> plans = {
      {"tidal", "full:0 select:1 budget:8 scope:all"},
      {"quest", "full:0 budget:32 page:16"},
      {"tidal", "full:0 select:1 budget:8 scope:q correct:7"},
      {"full", ""},
      {"tidal", "full:0 select:1 budget:120 scope:all"},
  };
  std::vector<std::shared_ptr<const AttentionMethod>> methods;
  for (const auto& [name, plan] : plans) methods.push_back(method(name, plan));
  Branches branches(model_, engine(), 6, 61, 59);
  std::vector<std::vector<TokenDivergence>> got(plans.size());
  diverge(branches, methods, tokens(), 61,
          [&](int64_t position, std::span<const TokenDivergence> all) {
            EXPECT_EQ(position, 61 + std::ssize(got[0]));
            for (size_t i = 0; i < all.size(); ++i) got[i].push_back(all[i]);
            return true;
          },
          {});
  for (size_t i = 0; i < plans.size(); ++i) {
    Session session(model_, engine(), options(plans[i].first, plans[i].second), 120);
    const double ppl = perplexity(session, tokens(), 61, {}, {}).perplexity;
    const DivergenceSummary sum = summarize(got[i]);
    EXPECT_NEAR(sum.perplexity, ppl, 1e-9 * ppl) << plans[i].second;
    EXPECT_EQ(branches.rows(static_cast<int32_t>(i)).read, session.rows().read);
    EXPECT_EQ(branches.rows(static_cast<int32_t>(i)).total, session.rows().total);
    EXPECT_EQ(branches.corrections(static_cast<int32_t>(i)), session.corrections());
    EXPECT_EQ(got[i].front().kld, 0);  // from the prompt's last row, the same for all
    EXPECT_EQ(sum.max > 1e-6, i < 3) << sum.max;
  }
}

TEST_F(DivergenceRun, BranchesForgetAndStartAgain) {
  Branches branches(model_, engine(), 2, 100, 20);
  const std::vector<int32_t> ids = tokens();
  const std::vector<std::shared_ptr<const AttentionMethod>> methods = {
      method("full", ""), method("window", "budget:8")};
  std::vector<std::vector<float>> runs;
  for (int round = 0; round < 3; ++round) {
    branches.prefill(std::span(ids).first(round == 1 ? 30 : 100));
    branches.fork(methods);
    for (int32_t step = 0; step < 20; ++step) {
      const Branches::Step steps[] = {{1, ids[static_cast<size_t>(step)]},
                                      {0, ids[static_cast<size_t>(step) + 1]}};
      const auto logits = branches.decode(steps);
      runs.resize(static_cast<size_t>(round) + 1);
      runs.back().assign(logits.begin(), logits.end());
    }
  }
  EXPECT_EQ(runs[0], runs[2]);
  EXPECT_NE(runs[0], runs[1]);
}

TEST_F(DivergenceRun, StopsWhenTold) {
  Branches branches(model_, engine(), 2, 60, 60);
  const std::vector<std::shared_ptr<const AttentionMethod>> methods = {method("full", "")};
  int64_t n = 0;
  diverge(branches, methods, tokens(), 60,
          [&](int64_t, std::span<const TokenDivergence>) { return ++n < 5; }, {});
  EXPECT_EQ(n, 5);
}

}  // namespace
}  // namespace tidal::test
