#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "attention/layer_plan.h"
#include "testing/temp_folder.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using nlohmann::json;

constexpr HeadCounts kHeads = {6, 2};

json example() {
  return json::parse(R"({
    "tidal_plan": 1,
    "model": {"layers": 8, "heads": 6, "kv_heads": 2},
    "plan": "full:0 select:1,4 budget:64 scope:kv",
    "layers": [{"layer": 5, "source": 1}, {"layer": 6, "head_map": [1, 1, 1, 0, 0, 0]}],
    "note": "calibrated on a book",
    "calibration": {"text": "book.txt", "candidates": [{"select": [1, 4], "kld": 0.01}]}
  })");
}

std::string error_of(const json& file, HeadCounts heads = kHeads, int32_t n_layers = 8) {
  try {
    plan_from_json(file, n_layers, heads, "my.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::StartsWith("my.json"));
    return error.what();
  }
  return "no error";
}

// The example with the value at a JSON pointer replaced.
std::string error_with(const char* pointer, const json& value) {
  json file = example();
  file[json::json_pointer(pointer)] = value;
  return error_of(file);
}

TEST(PlanFile, HoldsSourcesAndHeadMaps) {
  const LayerPlan plan = plan_from_json(example(), 8, kHeads, "my.json");
  EXPECT_EQ(plan.budget.tokens, 64);
  EXPECT_EQ(plan.layers[3].source, 1);
  EXPECT_EQ(plan.layers[5].source, 1) << "not 4, the nearest";
  EXPECT_EQ(plan.layers[6].source, 4);
  EXPECT_THAT(plan.layers[6].head_map, testing::ElementsAre(1, 1, 1, 0, 0, 0));
  EXPECT_TRUE(plan.layers[7].head_map.empty());
}

TEST(PlanFile, ComesBackTheSame) {
  LayerPlan plan = plan_from_json(example(), 8, kHeads, "my.json");
  EXPECT_EQ(plan_from_json(plan_to_json(plan, kHeads), 8, kHeads, "x"), plan);
  plan = preset_plan("tidal", 8);
  const json file = plan_to_json(plan, kHeads);
  EXPECT_FALSE(file.contains("layers")) << "a line expresses it all";
  EXPECT_EQ(plan_from_json(file, 8, kHeads, "x"), plan);
}

TEST(PlanFile, RandomPlansComeBackTheSame) {
  std::mt19937 random(3);
  const auto below = [&](size_t n) { return static_cast<int32_t>(random() % n); };
  for (int trial = 0; trial < 300; ++trial) {
    LayerPlan plan;
    plan.scope = static_cast<HeadScope>(below(3));
    std::vector<int32_t> sources;
    for (int32_t layer = 0; layer < 12; ++layer) {
      LayerSpec& spec = plan.layers.emplace_back();
      spec.role = static_cast<LayerRole>(below(sources.empty() ? 2 : 3));
      if (spec.role == LayerRole::kSelect) sources.push_back(layer);
      if (spec.role != LayerRole::kSparse) continue;
      spec.source = sources[static_cast<size_t>(below(sources.size()))];
      if (below(2) == 0) continue;
      const auto n_lists = static_cast<size_t>(list_count(plan.scope, 6, 2));
      for (int i = 0; i < 6; ++i) spec.head_map.push_back(below(n_lists));
    }
    EXPECT_EQ(plan_from_json(plan_to_json(plan, kHeads), 12, kHeads, "x"), plan);
  }
}

TEST(PlanFile, RefusesAnotherModelsPlan) {
  using testing::HasSubstr;
  EXPECT_EQ(error_of(example()), "no error");
  EXPECT_THAT(error_of(example(), kHeads, 9), HasSubstr("'layers' is 8, the model has 9"));
  EXPECT_THAT(error_of(example(), {9, 2}), HasSubstr("'heads' is 6, the model has 9"));
  EXPECT_THAT(error_of(example(), {6, 3}), HasSubstr("'kv_heads' is 2, the model has 3"));
}

TEST(PlanFile, ErrorsNameFileAndKey) {
  using testing::HasSubstr;
  EXPECT_THAT(error_of(json::array()), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_of(json::object()), HasSubstr("no key 'tidal_plan'"));
  EXPECT_THAT(error_with("/colour", 1), HasSubstr("unknown key 'colour'"));
  EXPECT_THAT(error_with("/model/colour", 1), HasSubstr("model: unknown key 'colour'"));
  EXPECT_THAT(error_with("/tidal_plan", 2), HasSubstr("version 2"));
  EXPECT_THAT(error_with("/tidal_plan", "1"), HasSubstr("'tidal_plan' is not a whole number"));
  EXPECT_THAT(error_with("/model", 3), HasSubstr("model is not a JSON object"));
  EXPECT_THAT(error_with("/model/layers", 8.0), HasSubstr("'layers' is not a whole number"));
  EXPECT_THAT(error_with("/model/heads", -6), HasSubstr("'heads' is not a whole number"));
  EXPECT_THAT(error_with("/model/kv_heads", 1ULL << 40), HasSubstr("'kv_heads' is not a whole"));
  EXPECT_THAT(error_with("/plan", 5), HasSubstr("'plan' is not a string"));
  EXPECT_THAT(error_with("/plan", "budget:x"), HasSubstr("budget:x"));
  EXPECT_THAT(error_with("/layers", 5), HasSubstr("'layers' is not an array"));
  EXPECT_THAT(error_with("/layers/0", 5), HasSubstr("layers is not a JSON object"));
  EXPECT_THAT(error_with("/layers/0/colour", 5), HasSubstr("unknown key 'colour'"));
  EXPECT_THAT(error_with("/layers/0/layer", 8), HasSubstr("'layer' 8 is not a sparse layer"));
  EXPECT_THAT(error_with("/layers/0/layer", 1), HasSubstr("'layer' 1 is not a sparse layer"));
  EXPECT_THAT(error_with("/layers/0/layer", 6), HasSubstr("'layer' 6 is given twice"));
  EXPECT_THAT(error_with("/layers/0/layer", "5"), HasSubstr("'layer' is not a whole number"));
  EXPECT_THAT(error_with("/layers/0/source", 2), HasSubstr("layer 5 reads layer 2"));
  EXPECT_THAT(error_with("/layers/0/source", 99), HasSubstr("layer 5 reads layer 99"));
  EXPECT_THAT(error_with("/layers/1/head_map", 5), HasSubstr("'head_map' is not an array"));
  EXPECT_THAT(error_with("/layers/1/head_map", {0, 1}), HasSubstr("head_map of layer 6 has 2"));
  EXPECT_THAT(error_with("/layers/1/head_map/0", 2), HasSubstr("names list 2"));
  EXPECT_THAT(error_with("/layers/1/head_map/0", "x"), HasSubstr("'head_map' is not a whole"));
}

class PlanFileOnDisk : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    return folder_.write(name, text);
  }

 private:
  const TempFolder folder_;
};

TEST_F(PlanFileOnDisk, IsRead) {
  const std::string path = write("good.json", example().dump());
  EXPECT_EQ(resolve_plan(path, 8, kHeads), plan_from_json(example(), 8, kHeads, path));
}

TEST_F(PlanFileOnDisk, BadFilesGiveErrorsThatNameThem) {
  for (const char* text : {"", "{", "not json", "{\"tidal_plan\": 1e999}", "[[[[[[", "null"}) {
    const std::string path = write("bad.json", text);
    try {
      resolve_plan(path, 8, kHeads);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      const bool is_json = std::string(text) == "null";
      EXPECT_EQ(error.code(), is_json ? ErrorCode::kInvalidArgument : ErrorCode::kCorrupt);
      EXPECT_THAT(error.what(), testing::HasSubstr(path));
    }
  }
  EXPECT_THROW(resolve_plan("/nonexistent/plan.json", 8, kHeads), Error);
}

TEST(ResolvePlan, KnowsPresetsLinesAndFiles) {
  EXPECT_EQ(resolve_plan("paper", 8, kHeads), preset_plan("paper", 8));
  EXPECT_EQ(resolve_plan("tidal", 8, kHeads), preset_plan("tidal", 8));
  EXPECT_EQ(resolve_plan("budget:64", 8, kHeads), parse_plan_line("budget:64", 8));
  try {
    resolve_plan("papers", 8, kHeads);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), testing::HasSubstr("'papers'"));
  }
}

}  // namespace
}  // namespace tidal::test
