// Chat: a conversation in the shape of the OpenAI API becomes a prompt.
//
//   tidal::ChatPrompt prompt = engine.chat_prompt(R"({"messages": [...], "tools": [...]})");
//   request.prompt = prompt.tokens;
//
// Of the request messages, tools, tool_choice, parallel_tool_calls, chat_template_kwargs,
// reasoning_effort, reasoning_format, add_generation_prompt and continue_final_message are read.
// One that is wrong is an Error(kInvalidArgument) whose option is its name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidal {

struct ChatPrompt {
  std::vector<int32_t> tokens;
  std::string text;               // the same before it is cut into tokens
  std::vector<std::string> stop;  // what ends the answer where no token of the model does
};

}  // namespace tidal
