#include "chat/reasoning_tags.h"

namespace tidal {
namespace {

constexpr ReasoningTags kTags[] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
    {"<seed:think>", "</seed:think>"},
    {"<reasoning>", "</reasoning>"},
};

}  // namespace

ReasoningTags find_reasoning_tags(std::string_view template_source) {
  for (const ReasoningTags& tags : kTags) {
    if (template_source.find(tags.end) != template_source.npos) return tags;
  }
  return kTags[0];
}

bool opens_reasoning(std::string_view prompt, const ReasoningTags& tags) {
  const size_t last = prompt.find_last_not_of(" \t\r\n");
  return last != prompt.npos && prompt.substr(0, last + 1).ends_with(tags.start);
}

}  // namespace tidal
