// StopMatcher: finds stop strings in streamed text and holds back what may still become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidal {

class StopMatcher {
 public:
  explicit StopMatcher(std::vector<std::string> stops);  // empty strings are left out

  // Takes more text and returns what may be shown now. After a match, matched() holds and nothing
  // more comes out. Without may_match no stop string ends in this text.
  std::string push(std::string_view text, bool may_match = true);
  // The held-back text, at the end.
  std::string flush();
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace tidal
