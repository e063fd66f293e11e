#include "ops/cpu/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "ops/cpu/cpu_backend.h"
#include "tidal/error.h"

namespace tidal::cpu {
namespace {

// Sets TIDAL_FORCE_TARGET for one test and restores the old value.
class ForcedTarget : public testing::Test {
 protected:
  ForcedTarget() {
    if (const char* text = std::getenv(kName)) before_ = text;
    unsetenv(kName);
  }
  ~ForcedTarget() override {
    if (before_) {
      setenv(kName, before_->c_str(), 1);
    } else {
      unsetenv(kName);
    }
    choose_target();
  }
  void force(const std::string& value) { setenv(kName, value.c_str(), 1); }

 private:
  static constexpr char kName[] = "TIDAL_FORCE_TARGET";
  std::optional<std::string> before_;
};

TEST_F(ForcedTarget, TheBestIsChosenByDefault) {
  EXPECT_EQ(choose_target(), available_targets().back());
  EXPECT_EQ(cpu_target_name(), target_name(available_targets().back()));
}

TEST_F(ForcedTarget, EveryAvailableTargetCanBeForced) {
  for (const Target target : available_targets()) {
    if (target == Target::kPortable) continue;
    force(std::string(target_name(target)));
    EXPECT_EQ(choose_target(), target);
  }
  // A cap does not outlive the variable.
  force("");
  EXPECT_EQ(choose_target(), available_targets().back());
}

TEST_F(ForcedTarget, ACapAboveTheProcessorChangesNothing) {
  force("avx512_bf16");
  EXPECT_EQ(choose_target(), available_targets().back());
}

TEST_F(ForcedTarget, AnUnknownValueIsAnErrorThatNamesTheKnownOnes) {
  force("avx9000");
  try {
    choose_target();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("avx9000"));
    EXPECT_THAT(error.what(), testing::HasSubstr("avx512_vnni"));
  }
}

}  // namespace
}  // namespace tidal::cpu
