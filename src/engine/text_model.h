// The text side of a model: its tokenizer and chat template, from wherever its weights came from.
#pragma once

#include <optional>

#include "model/model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tidal {

// Throws Error naming file and key. Random-weight models have no tokenizer: Error(kUnsupported).
Tokenizer load_tokenizer(const Model& model);

// Nothing when the model brings none. A template that cannot be parsed is an Error.
std::optional<ChatTemplate> load_chat_template(const Model& model, const Tokenizer& tokenizer);

}  // namespace tidal
