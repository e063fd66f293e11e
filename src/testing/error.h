// For tests of readers: what an Error said.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tidal/error.h"

namespace tidal::test {

// Runs f, which must throw Error with this code and a message that contains every part.
template <typename F>
void expect_error(ErrorCode code, const std::vector<std::string>& parts, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    for (const std::string& part : parts) EXPECT_THAT(error.what(), testing::HasSubstr(part));
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 600u);
    return;
  }
  ADD_FAILURE() << "no error; expected one with " << testing::PrintToString(parts);
}

}  // namespace tidal::test
