// A model's chat template: messages in, prompt text out, like transformers.apply_chat_template.
//
// Immutable and thread-safe. Template and messages are untrusted; errors are those of jinja.h.
//
// The text is later tokenized with control tokens such as <|im_end|> enabled, and a user must not
// be able to write one. render_marked records for every byte whether it is content, and
// Tokenizer::encode_prompt respects that. All strings of messages, tools and variables are content;
// a role that is a plain word (letters, digits, _ and -) is not, since some templates build a
// control token around it.
#pragma once

#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "jinja/jinja.h"
#include "jinja/text.h"

namespace tidal {

struct ChatMessage {
  std::string role;
  std::string content;
};

struct ChatOptions {
  bool add_generation_prompt = true;
  nlohmann::ordered_json tools;      // an array of JSON schemas; null: none
  nlohmann::ordered_json variables;  // an object of extra variables (enable_thinking); null: none
  bool keep_none_content = false;    // null as content is none; otherwise it is left out
  JinjaOptions jinja;
};

class ChatTemplate {
 public:
  // The pieces the template sees as bos_token and eos_token; empty: undefined.
  static ChatTemplate create(std::string_view source, std::string bos_piece, std::string eos_piece);

  const std::string& source() const { return *source_; }
  const std::string& bos_piece() const { return bos_piece_; }

  std::string render(std::span<const ChatMessage> messages, bool add_generation_prompt) const;

  // messages: an array of objects, in the shape of the OpenAI API.
  std::string render(const nlohmann::ordered_json& messages, const ChatOptions& options) const;
  JinjaText render_marked(const nlohmann::ordered_json& messages, const ChatOptions& options) const;
  JinjaText render_marked(std::span<const ChatMessage> messages, bool add_generation_prompt) const;

 private:
  ChatTemplate(std::string_view source, std::string bos_piece, std::string eos_piece);

  std::shared_ptr<const std::string> source_;
  JinjaTemplate jinja_;
  std::string bos_piece_;
  std::string eos_piece_;
};

}  // namespace tidal
