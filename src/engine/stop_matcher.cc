#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace tidal {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopMatcher::push(std::string_view text, bool may_match) {
  if (matched_) return {};
  const size_t before = held_.size();
  held_ += text;
  size_t first_match = std::string::npos;
  for (const std::string& stop : stops_) {
    if (!may_match) break;
    const size_t first = before - std::min(before, stop.size() - 1);  // to end in the new text
    first_match = std::min(first_match, held_.find(stop, first));
  }
  if (first_match != std::string::npos) {
    matched_ = true;
    return std::exchange(held_, {}).substr(0, first_match);
  }
  size_t keep = 0;  // the longest end of the text that begins a stop string
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) keep = n;
    }
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopMatcher::flush() { return matched_ ? std::string() : std::exchange(held_, {}); }

}  // namespace tidal
