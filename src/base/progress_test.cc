#include "base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace tidal::test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::mutex shown_mutex;
std::string shown;

void show(const std::string& text) {
  const std::lock_guard lock(shown_mutex);
  shown += text;
}

std::string take_shown() {
  const std::lock_guard lock(shown_mutex);
  return std::exchange(shown, {});
}

// Waits until what is shown holds this text; a test that waits in vain fails by its time limit.
std::string wait_for(const std::string& text) {
  std::string all;
  while (all.find(text) == std::string::npos) {
    std::this_thread::sleep_for(milliseconds(1));
    all += take_shown();
  }
  return all;
}

constexpr ProgressBar::Place kLog = {false, milliseconds(5), show};
constexpr ProgressBar::Place kQuietLog = {false, std::chrono::hours(1), show};
constexpr ProgressBar::Place kTerminal = {true, std::chrono::hours(1), show};

class ProgressTest : public testing::Test {
 protected:
  void SetUp() override { take_shown(); }
};

TEST_F(ProgressTest, ALogGetsLinesThoughNothingNewIsReported) {
  ProgressBar bar("reading", "tokens", kLog);
  bar.update(3, 12);
  EXPECT_THAT(wait_for("\n"),
              testing::MatchesRegex("reading 3/12 tokens  .* tokens/s  .* left\n.*"));
  wait_for("\n");
  bar.update(5, 0);
  EXPECT_THAT(wait_for("reading 5 tokens"), testing::Not(HasSubstr("\r")));
}

TEST_F(ProgressTest, WorkWithoutAUnitIsShownByItsTime) {
  const ProgressBar bar("loading", "", kLog);
  EXPECT_THAT(wait_for("\n"), testing::StartsWith("loading 0 s\n"));
}

TEST_F(ProgressTest, ShortWorkLeavesNothingInALog) {
  {
    ProgressBar bar("reading", "tokens", kQuietLog);
    for (int i = 0; i <= 12; ++i) bar.update(i, 12);
    bar.clear();
  }
  EXPECT_EQ(take_shown(), "");
}

TEST_F(ProgressTest, NothingIsShownBeforeTheFirstUpdateOrAfterClear) {
  ProgressBar bar("reading", "tokens", kLog);
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_EQ(take_shown(), "");
  bar.update(1, 2);
  wait_for("\n");
  bar.clear();
  take_shown();
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_EQ(take_shown(), "");
}

TEST_F(ProgressTest, ATerminalGetsABarThatIsWiped) {
  {
    ProgressBar bar("reading", "tokens", kTerminal);
    bar.update(6, 12);
    EXPECT_THAT(take_shown(),
                testing::StartsWith("\r\033[Kreading [############............] 6/12"));
    bar.update(12, 12);
    EXPECT_THAT(take_shown(), HasSubstr("[########################] 12/12"));
  }
  EXPECT_EQ(take_shown(), "\r\033[K");
}

}  // namespace
}  // namespace tidal::test
