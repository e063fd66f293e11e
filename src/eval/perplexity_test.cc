#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "testing/paths.h"

namespace tidal::test {
namespace {

TEST(Perplexity, SummaryOfKnownScores) {
  const std::vector<TokenScore> scores = {{1, 5, -1.0}, {2, 6, -2.0}, {3, 7, -6.0}};
  const PerplexityResult result = summarize(scores);
  EXPECT_EQ(result.tokens, 3);
  EXPECT_DOUBLE_EQ(result.nll, 3.0);
  EXPECT_DOUBLE_EQ(result.perplexity, std::exp(3.0));
  // Variance of 1, 2, 6 is 7 (n - 1); the standard error of the mean sqrt(7 / 3).
  EXPECT_NEAR(result.standard_error, std::exp(3.0) * std::sqrt(7.0 / 3.0), 1e-9);
  EXPECT_EQ(summarize({}).tokens, 0);
}

class PerplexityRun : public testing::Test {
 protected:
  PerplexityResult run(const std::string& method, const std::string& plan, RowsReport* rows) {
    EngineOptions options;
    options.threads = 1;
    MethodOptions method_options;
    method_options.name = method;
    method_options.plan = plan;
    method_options.min_context = 0;
    Session session(model_, options, method_options, 120);
    const PerplexityResult result = perplexity(session, tokens(), 60, {}, {});
    *rows = session.rows();
    return result;
  }
  static std::vector<int32_t> tokens() {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 120; ++i) ids.push_back(3 + (i * i + i / 7) % 200);
    return ids;
  }
  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
};

TEST_F(PerplexityRun, ABudgetThatHoldsEverythingIsFullAttention) {
  RowsReport full_rows;
  RowsReport rows;
  const PerplexityResult full = run("full", "", &full_rows);
  const PerplexityResult all = run("tidal", "full:0 select:1 budget:120 scope:all", &rows);
  EXPECT_EQ(full.tokens, 60);
  EXPECT_EQ(all.nll, full.nll);
  EXPECT_EQ(rows.read, full_rows.read);
  EXPECT_EQ(full_rows.read, full_rows.total);
}

TEST_F(PerplexityRun, SparseReadsLessAndDiffers) {
  RowsReport rows;
  const double full = run("full", "", &rows).nll;
  const double sparse = run("tidal", "full:0 select:1 budget:8 scope:all", &rows).nll;
  EXPECT_LT(rows.share(), 0.75);
  EXPECT_GT(std::abs(sparse - full), 1e-4);
}

}  // namespace
}  // namespace tidal::test
