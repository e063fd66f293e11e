#include <fmt/format.h>

#include <limits>

#include "server/call.h"

namespace tidal::server {
namespace {

constexpr size_t kMostPrompts = 256;

int32_t token_of(const Json& value) {
  return static_cast<int32_t>(integer_of(value, "prompt", 0, std::numeric_limits<int32_t>::max()));
}

// llama.cpp's {"prompt_string": text}; pictures beside it are refused.
std::string prompt_string(const Json& object) {
  const auto media = object.find("multimodal_data");
  if (media != object.end() && !media->empty()) {
    refuse("prompt", "'multimodal_data' is not supported: the model reads text only");
  }
  const auto text = object.find("prompt_string");
  if (text == object.end()) refuse("prompt", "an object in 'prompt' needs a 'prompt_string'");
  return text_of(*text, "prompt_string");
}

PromptPart part_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object()) return prompt_string(value);
  return token_of(value);
}

bool is_list_of_prompts(const Json& list) {
  bool any_token = false;
  bool any_list = false;
  for (const Json& entry : list) {
    any_token = any_token || entry.is_number();
    any_list = any_list || entry.is_array();
  }
  return any_list || !any_token;
}

}  // namespace

std::vector<PromptParts> read_prompts(const Json& prompt, bool* several) {
  *several = prompt.is_array() && is_list_of_prompts(prompt);
  if (!prompt.is_array()) return {{part_of(prompt)}};
  std::vector<PromptParts> prompts;
  if (!*several) {
    prompts.emplace_back();
    prompts.back().reserve(prompt.size());
    for (const Json& part : prompt) prompts.back().push_back(part_of(part));
    return prompts;
  }
  if (prompt.empty() || prompt.size() > kMostPrompts) {
    refuse("prompt",
           fmt::format("'prompt' lists {} prompts, give 1 to {}", prompt.size(), kMostPrompts));
  }
  for (const Json& entry : prompt) {
    PromptParts& parts = prompts.emplace_back();
    if (entry.is_array()) {
      for (const Json& part : entry) parts.push_back(part_of(part));
    } else {
      parts.push_back(part_of(entry));
    }
  }
  return prompts;
}

}  // namespace tidal::server
