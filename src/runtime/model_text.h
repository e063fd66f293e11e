// The text side of a model: its tokenizer and chat template, from wherever its weights came from.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_prompter.h"
#include "model/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tidal {

// Throws Error naming file and key. Random-weight models have no tokenizer: Error(kUnsupported).
Tokenizer load_tokenizer(const Model& model);
// From whatever Model::load() takes, without weights: a file with only a vocabulary is accepted, as
// are architectures and tensor types tidal cannot run.
Tokenizer load_tokenizer(const std::string& path);

// Nothing if the model has none. A template that cannot be parsed is an Error.
std::optional<ChatTemplate> load_chat_template(const Model& model, const Tokenizer& tokenizer);

// What makes prompts of conversations. chat_template: a name, a template's text, or empty for the
// model's own; ChatML where it brings none. A template that cannot be used is an Error.
ChatPrompter load_chat_prompter(const Model& model, const Tokenizer& tokenizer,
                                std::string_view chat_template);

// The tokens of the whole prompt as one text: a conversation, open for the assistant's answer,
// which begins with answer_prefix. Control tokens come only from the template, never from a
// message.
std::vector<TokenId> encode_messages(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                     std::span<const ChatMessage> messages,
                                     std::string_view answer_prefix);

}  // namespace tidal
