#include "bench/timing_backend.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "bench/lockstep.h"
#include "ops/factory/backend_factory.h"
#include "testing/paths.h"
#include "testing/poison/poison_backend.h"  // the suite runs on it too

namespace tidal::test {
namespace {

class TimingBackendTest : public testing::Test {
 protected:
  // The operations of one step at depth 100, after one that is not timed.
  std::map<std::string, OperationTime> step(const std::string& method, const std::string& plan) {
    MethodOptions options;
    options.name = method;
    options.plan = plan;
    options.min_context = 0;
    Lockstep sequences(model_, timing_, {},
                       {.n_sequences = 2, .max_filled = 100, .max_decoded = 28});
    sequences.fill(100, 1, [](int64_t, int64_t) { return true; });
    Contender contender = sequences.enter(2, options);
    sequences.decode(contender, 5);
    EXPECT_TRUE(timing_.times().empty());
    const RowsRead before = contender.rows_read();
    timing_.timing(true);
    sequences.decode(contender, 6);
    timing_.timing(false);
    rows_ = contender.rows_read();
    rows_.k -= before.k;
    rows_.v -= before.v;
    std::map<std::string, OperationTime> times;
    for (const OperationTime& time : timing_.times()) {
      EXPECT_GT(time.milliseconds, 0) << time.name;
      EXPECT_TRUE(times.emplace(time.name, time).second) << time.name;
    }
    timing_.clear();
    return times;
  }

  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
  std::unique_ptr<Backend> inner_ = make_backend("cpu", 2);
  TimingBackend timing_{*inner_, model_->weights(*inner_)};
  RowsRead rows_;
};

TEST_F(TimingBackendTest, CountsCallsAndBytesOfAStep) {
  const auto times = step("full", "");
  const Config& c = model_->config();
  EXPECT_EQ(times.at("norm").calls, 2 * c.n_layers() + 2) << "the last one, sequence by sequence";
  EXPECT_EQ(times.at("norm").bytes, 0);
  EXPECT_EQ(times.at("rope").calls, 2 * c.n_layers());
  EXPECT_EQ(times.at("embedding").calls, 1);
  double matvec_bytes = 0;
  int64_t matvec_calls = 0;
  for (const auto& [name, time] : times) {
    if (!name.starts_with("matvec")) continue;
    matvec_bytes += time.bytes;
    matvec_calls += time.calls;
  }
  EXPECT_EQ(matvec_calls, 4 * c.n_layers() + 1);
  double norm_bytes = 0;
  for (int i = 0; i < 2 * c.n_layers() + 1; ++i) norm_bytes += c.d_model * 4;
  EXPECT_EQ(matvec_bytes + norm_bytes + times.at("embedding").bytes / 2,
            static_cast<double>(model_->step_weight_bytes()));
  // 102 rows of both sequences in every layer, each a row of K and of V of all heads in f16.
  const OperationTime& attend = times.at("attend full");
  EXPECT_EQ(attend.calls, c.n_layers());
  EXPECT_EQ(attend.bytes,
            2.0 * 102 * c.n_layers() * static_cast<double>(c.attention().kv_size()) * 2 * 2);
  EXPECT_EQ(times.at("append").bytes,
            2.0 * c.n_layers() * static_cast<double>(c.attention().kv_size()) * 2 * 2);
}

TEST_F(TimingBackendTest, TellsSelectingFromSparseLayersAndScopes) {
  const Config& c = model_->config();
  ASSERT_EQ(c.n_layers(), 4);
  const auto row = static_cast<double>(c.attention().head_dim) * 2;
  for (const std::string scope : {"all", "kv", "q"}) {
    const auto on = step("tidal", "full:0 select:1 budget:16 own:on scope:" + scope);
    EXPECT_EQ(on.at("attend full").calls, 1);
    EXPECT_EQ(on.at("score").bytes, 2.0 * 102 * static_cast<double>(c.attention().kv_size()) * 2);
    EXPECT_EQ(on.at("top-k, scope " + scope).calls, 1);
    EXPECT_EQ(on.at("attend own picks, scope " + scope).calls, 1);
    EXPECT_EQ(on.at("attend sparse, scope " + scope).calls, 2);
    const double cache = on.at("attend full").bytes + on.at("score").bytes +
                         on.at("attend own picks, scope " + scope).bytes +
                         on.at("attend sparse, scope " + scope).bytes;
    EXPECT_EQ(cache, static_cast<double>(rows_.k + rows_.v) * row);
    const auto off = step("tidal", "full:0 select:1 budget:16 own:off scope:" + scope);
    EXPECT_EQ(off.at("attend full, scores kept").calls, 1);
    EXPECT_EQ(off.count("score"), 0u);
  }
}

TEST_F(TimingBackendTest, NamesQuestsOperations) {
  const auto times = step("quest", "full:none budget:32 page:16");
  EXPECT_EQ(times.at("score pages").calls, model_->config().n_layers());
  EXPECT_EQ(times.at("page bounds").calls, model_->config().n_layers());
}

}  // namespace
}  // namespace tidal::test
