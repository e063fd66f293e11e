// HarmonyReply: answers of gpt-oss, messages with a channel and perhaps a recipient each.
//   <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>commentary
//   to=functions.NAME <|constrain|>json<|message|>{...}<|call|>      or    final<|message|>...
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "chat/reply_format.h"
#include "chat/syntax.h"

namespace tidal {

class HarmonyReply : public ReplyParser {
 public:
  explicit HarmonyReply(std::shared_ptr<const SyntaxData> syntax);

  void finish(ChatDelta& delta) override;
  bool done() const override { return state_ == State::kDone; }

 private:
  enum class State { kHeader, kBody, kDone };
  enum class Kind { kContent, kReasoning, kCall };

  void run(bool at_end, ChatDelta& delta) override;
  bool read_header(bool at_end, ChatDelta& delta);
  bool read_body(bool at_end, ChatDelta& delta);
  void emit(std::string_view text, ChatDelta& delta);
  void end_body(bool closed, ChatDelta& delta);

  std::shared_ptr<const SyntaxData> syntax_;
  State state_ = State::kHeader;
  Kind kind_ = Kind::kContent;
  std::string recipient_;
  std::string arguments_;
  bool has_reasoning_ = false;
  bool new_reasoning_ = false;  // of a message after one that had some
};

}  // namespace tidal
