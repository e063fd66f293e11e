#include "eval/result_log.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "testing/error.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

class ResultLogTest : public testing::Test {
 protected:
  std::string text() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  TempFolder folder_;
  std::string path_ = folder_.file("log.jsonl");
};

TEST_F(ResultLogTest, WritesALineAUnitAndFindsItAgain) {
  ResultLog(path_, {{"seed", 1}}).add({{"i", 0}}, {{"score", 0.1}});
  EXPECT_EQ(text(), "{\"settings\":{\"seed\":1}}\n{\"unit\":{\"i\":0},\"score\":0.1}\n");
  const ResultLog again(path_, {{"seed", 1}});
  ASSERT_NE(again.find({{"i", 0}}), nullptr);
  EXPECT_EQ(again.find({{"i", 0}})->at("score"), 0.1);
  EXPECT_EQ(again.find({{"i", 1}}), nullptr);
}

TEST_F(ResultLogTest, DropsALineThatWasCutOff) {
  ResultLog(path_, {}).add({{"i", 0}}, {{"score", 1}});
  const std::string whole = text();
  std::ofstream(path_, std::ios::app) << "{\"unit\":{\"i\":1";
  ResultLog again(path_, {});
  EXPECT_EQ(again.find({{"i", 1}}), nullptr);
  EXPECT_EQ(text(), whole);
}

TEST_F(ResultLogTest, RefusesOtherSettingsAndOtherFiles) {
  { const ResultLog log(path_, {{"seed", 1}}); }
  expect_error(ErrorCode::kInvalidArgument, {"log.jsonl", "seed 1", "this run has 2", "-o"}, [&] {
    ResultLog(path_, {{"seed", 2}});
  });
  const std::string note = folder_.write("note.txt", "Dear diary,\n");
  expect_error(ErrorCode::kInvalidArgument, {"note.txt", "line 1", "-o"}, [&] {
    ResultLog(note, {{"seed", 1}});
  });
  const std::string cut = folder_.write("cut.txt", "Dear");
  expect_error(ErrorCode::kInvalidArgument, {"cut.txt", "-o"}, [&] {
    ResultLog(cut, {{"seed", 1}});
  });
}

TEST_F(ResultLogTest, WithoutAPathOnlyRemembers) {
  ResultLog log("", {});
  log.add({{"i", 0}}, {{"score", 1}});
  EXPECT_NE(log.find({{"i", 0}}), nullptr);
  EXPECT_EQ(folder_.count(), 0u);
}

}  // namespace
}  // namespace tidal::test
