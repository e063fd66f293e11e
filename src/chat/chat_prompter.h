// ChatPrompter: a checked conversation becomes the prompt of one model, in the shape that its
// template shows in full.
//
// Immutable and thread-safe. Control tokens come from the template alone: all that a request says
// stays content.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "chat/chat_request.h"
#include "chat/syntax.h"
#include "chat/template_traits.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "tidal/chat.h"

namespace tidal {

class ChatPrompter {
 public:
  // The model's own template, which has the begin token where it belongs.
  ChatPrompter(Tokenizer tokenizer, ChatTemplate chat_template);

  // Another one: a name of builtin_templates.h, or a template's text. The begin token comes first
  // as the tokenizer wants it. fallback: there is none of the model's own, which is said once.
  static ChatPrompter with_template(const Tokenizer& tokenizer, std::string_view name_or_text,
                                    bool fallback = false);

  // Throws Error, kInvalidArgument where the template refuses the conversation.
  ChatPrompt prompt(const ChatRequest& request) const;

  bool is_fallback() const { return fallback_; }
  const ChatTemplate& chat_template() const { return template_; }
  const TemplateTraits& traits() const { return traits_; }

 private:
  struct Rendered {
    JinjaText text;
    bool reasoning_open = false;
  };
  Rendered render(const ChatRequest& request) const;
  SyntaxData syntax(const ChatRequest& request, bool reasoning_open) const;
  bool is_generic(const ChatRequest& request) const;
  std::vector<TokenId> encode(const JinjaText& text) const;
  void warn_once(std::atomic_flag& said, std::string_view what) const;

  struct Said {
    std::atomic_flag fallback;
    std::atomic_flag generic_tools;
  };

  Tokenizer tokenizer_;
  ChatTemplate template_;
  TemplateTraits traits_;
  ReasoningTags reasoning_;
  bool own_ = true;
  bool fallback_ = false;
  std::string end_;  // of a turn, where the vocabulary has no token for it
  std::shared_ptr<Said> said_ = std::make_shared<Said>();
};

}  // namespace tidal
