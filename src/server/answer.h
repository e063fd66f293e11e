// Answer: one choice of a reply as it grows, and the parts of replies that all APIs share.
//
// Plain data and pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/call.h"
#include "tidal/chat.h"
#include "tidal/engine.h"

namespace tidal::server {

// What came since the last one. Of a completion only text, tokens and logprobs.
struct Piece {
  std::string text;
  std::string reasoning;
  std::vector<ToolCallDelta> tools;
  std::vector<int32_t> tokens;
  std::vector<TokenLogprobs> logprobs;         // of tokens, where the call asks for them
  std::vector<TokenLogprobs> prompt_logprobs;  // likewise, with the first token

  bool empty() const { return text.empty() && reasoning.empty() && tools.empty(); }
};

// How far an answer is.
struct Progress {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, from requests before
  int64_t read_tokens = 0;    // of the prompt, those included
  int64_t generated = 0;
  double prompt_ms = 0;
  double generate_ms = 0;  // from the first token to the last
  double since_ms = 0;     // from the request
  RowsReport rows;
  SpeculationReport speculation;
};

struct Answer {
  int64_t index = 0;
  size_t prompt = 0;        // which of the call's
  std::string prompt_text;  // control tokens included
  std::string echo_text;    // ... and left out
  std::vector<int32_t> prompt_tokens;
  std::vector<TokenLogprobs> prompt_logprobs;  // of all but the first, where the call asks for them
  Progress progress;
  // So far, or all of it once `completion` is there.
  std::string text;
  std::string reasoning;
  std::vector<ToolCallDelta> tools;
  std::vector<int32_t> tokens;
  std::vector<TokenLogprobs> logprobs;
  std::optional<Completion> completion;
  std::string stop_string;  // that ended it, or empty
  std::string warning;      // what of it could not be read as it was meant, or empty
};

// What replies say about themselves.
struct ReplyInfo {
  std::string id;  // without the API's prefix
  int64_t created = 0;
  std::string model;
  std::function<std::string(int32_t)> piece;  // a token's text
};

std::string random_id();  // 32 letters and digits

// "data: {…}\n\n", with "event: NAME" before it.
std::string sse(const Json& data, std::string_view event = {});
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";

Json usage_json(std::span<const Answer> answers, bool only_prompt);
Json timings_json(const Progress& progress);
Json progress_json(const Progress& progress);  // llama.cpp's prompt_progress
// Method, plan and rows; why a sparse method read everything, if it did; where reuse ended and why;
// the answer's warning.
Json tidal_json(const Answer& answer);

// "stop", "length" or "tool_calls".
std::string_view finish_reason(const Answer& answer);

}  // namespace tidal::server
