// TaggedReply: answers whose reasoning and calls stand between tags in otherwise plain text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/reply_format.h"
#include "chat/syntax.h"

namespace tidal {

class TaggedReply : public ReplyParser {
 public:
  explicit TaggedReply(std::shared_ptr<const SyntaxData> syntax);

  void finish(ChatDelta& delta) override;
  bool done() const override { return state_ == State::kDone; }

 private:
  enum class State { kStart, kReasoning, kText, kCalls, kDone };

  // Each goes on until it needs more text or the state changes; false: more text.
  bool start(bool at_end, ChatDelta& delta);
  bool reason(bool at_end, ChatDelta& delta);
  bool read_text(bool at_end, ChatDelta& delta);
  bool call(bool at_end, ChatDelta& delta);
  void run(bool at_end, ChatDelta& delta) override;
  void emit(std::string_view text, std::string* out);
  void emit_content(std::string_view text, ChatDelta& delta);

  std::shared_ptr<const SyntaxData> syntax_;
  State state_ = State::kStart;
  std::vector<std::string_view> tags_;  // that matter in text; the first begins calls
  std::unique_ptr<CallParser> parser_;  // of the section that pending_ begins with
  std::string space_;                   // white space that counts if more follows
  bool skip_space_ = false;             // before the next content
  bool bare_allowed_ = false;           // no content has come yet
};

// Bytes at the end of text that may begin one of the tags.
size_t unfinished_tag(std::string_view text, const std::vector<std::string_view>& tags);

}  // namespace tidal
