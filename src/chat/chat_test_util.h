// Test only: a tokenizer, templates of tests/data/chat, prompters made of both.
#pragma once

#include <string>

#include "chat/chat_prompter.h"
#include "testing/paths.h"
#include "text/tokenizer_test_util.h"

namespace tidal::test {

inline Tokenizer tiny_tokenizer() {
  return Tokenizer::create(GgufVocabularyReader(data_path("tiny-llama.gguf")).take_data());
}

inline std::string template_source(const std::string& name) {
  return read_text(data_path("chat/templates/") + name + ".jinja");
}

inline ChatPrompter prompter_of(const std::string& source, const std::string& bos = "<s>",
                                const std::string& eos = "</s>") {
  return {tiny_tokenizer(), ChatTemplate::create(source, bos, eos)};
}

inline std::string prompt_text(const ChatPrompter& prompter, const std::string& request) {
  return prompter.prompt(parse_chat_request(request)).text;
}

}  // namespace tidal::test
