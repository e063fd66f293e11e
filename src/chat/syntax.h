// SyntaxData: what a ChatSyntax holds, and what follows from it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "chat/reasoning_tags.h"
#include "chat/reply_format.h"

namespace tidal {

struct SyntaxData {
  const ReplyFormat* format = nullptr;
  ReasoningTags reasoning;
  bool split_reasoning = true;
  bool reasoning_open = false;  // the prompt ends within reasoning
  bool parallel_calls = true;
  nlohmann::ordered_json tools;  // as of the request; null: none may be called
};

// All tags that its answers may have: they must show in the text.
std::vector<std::string_view> tags_of(const SyntaxData& syntax);

// xgrammar's structural tag for answers that call one of the tools, or the one of that name: behind
// the reasoning if that is open, with arguments that fit the tool's schema. Empty: the format has
// none.
std::string required_calls(const SyntaxData& syntax, std::string_view tool_name);

}  // namespace tidal
