#include "chat/harmony_reply.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "chat/call_json.h"
#include "chat/tagged_reply.h"

namespace tidal {
namespace {

constexpr std::string_view kStart = "<|start|>";
constexpr std::string_view kChannel = "<|channel|>";
constexpr std::string_view kMessage = "<|message|>";
const std::vector<std::string_view> kEnds{"<|end|>", "<|call|>", "<|return|>", kStart, kChannel};

// The word behind `mark`, up to white space or a tag.
std::string_view word_behind(std::string_view header, std::string_view mark) {
  const size_t found = header.find(mark);
  if (found == header.npos) return {};
  const std::string_view rest = header.substr(found + mark.size());
  return rest.substr(0, rest.find_first_of(" \t\r\n<"));
}

// What may stand before the text of a message.
bool may_be_header(std::string_view text) {
  const size_t solid = text.find_first_not_of(" \t\r\n");
  if (solid == text.npos) return true;
  text.remove_prefix(solid);
  for (const std::string_view begin : {kStart, kChannel, kMessage, std::string_view("to=")}) {
    if (text.starts_with(begin) || begin.starts_with(text)) return true;
  }
  return false;
}

}  // namespace

HarmonyReply::HarmonyReply(std::shared_ptr<const SyntaxData> syntax) : syntax_(std::move(syntax)) {}

void HarmonyReply::finish(ChatDelta& delta) {
  run(/*at_end=*/true, delta);
  if (state_ == State::kBody) end_body(/*closed=*/false, delta);
}

void HarmonyReply::run(bool at_end, ChatDelta& delta) {
  bool more = true;
  while (more && state_ != State::kDone) {
    more = state_ == State::kHeader ? read_header(at_end, delta) : read_body(at_end, delta);
  }
}

bool HarmonyReply::read_header(bool at_end, ChatDelta& delta) {
  constexpr size_t kLongest = 4096;
  if (pending_.empty()) return false;
  const size_t end = pending_.find(kMessage);
  const bool open = end == std::string::npos;
  if (open && may_be_header(pending_) && pending_.size() < kLongest) {
    if (!at_end) return false;
    if (pending_.find_first_not_of(" \t\r\n") == std::string::npos || pending_ == kStart) {
      pending_.clear();
      return false;
    }
  }
  kind_ = Kind::kContent;
  state_ = State::kBody;
  if (open || !may_be_header(pending_)) {  // no message of this format: text, its tag too
    const size_t tag = pending_.starts_with(kStart)     ? kStart.size()
                       : pending_.starts_with(kChannel) ? kChannel.size()
                                                        : 0;
    emit(std::string_view(pending_).substr(0, tag), delta);
    pending_.erase(0, tag);
    return true;
  }
  const std::string_view header = std::string_view(pending_).substr(0, end);
  recipient_ = word_behind(header, "to=");
  constexpr std::string_view kFunctions = "functions.";
  if (recipient_.starts_with(kFunctions)) recipient_.erase(0, kFunctions.size());
  if (!recipient_.empty() && !syntax_->tools.is_null()) {
    kind_ = Kind::kCall;
  } else if (word_behind(header, kChannel) == "analysis" && syntax_->split_reasoning) {
    kind_ = Kind::kReasoning;
    new_reasoning_ = has_reasoning_;
  }
  pending_.erase(0, end + kMessage.size());
  return true;
}

bool HarmonyReply::read_body(bool at_end, ChatDelta& delta) {
  size_t at = std::string::npos;
  std::string_view found;
  for (const std::string_view tag : kEnds) {
    const size_t position = pending_.find(tag);
    if (position < at) {
      at = position;
      found = tag;
    }
  }
  if (at == std::string::npos) {
    const size_t held = at_end ? 0 : unfinished_tag(pending_, kEnds);
    emit(std::string_view(pending_).substr(0, pending_.size() - held), delta);
    pending_.erase(0, pending_.size() - held);
    return false;
  }
  emit(std::string_view(pending_).substr(0, at), delta);
  const bool is_header = found == kStart || found == kChannel;
  pending_.erase(0, is_header ? at : at + found.size());
  end_body(/*closed=*/true, delta);
  return true;
}

void HarmonyReply::emit(std::string_view text, ChatDelta& delta) {
  if (text.empty()) return;
  switch (kind_) {
    case Kind::kContent:
      delta.content += text;
      break;
    case Kind::kReasoning:
      if (std::exchange(new_reasoning_, false)) delta.reasoning += '\n';
      has_reasoning_ = true;
      delta.reasoning += text;
      break;
    case Kind::kCall:
      arguments_ += text;
      break;
  }
}

void HarmonyReply::end_body(bool closed, ChatDelta& delta) {
  state_ = State::kHeader;
  if (kind_ != Kind::kCall) return;
  kind_ = Kind::kContent;
  const std::string text = std::exchange(arguments_, {});
  const auto json = read_call_json(text.empty() && closed ? "{}" : text);
  if (!json.has_value() || !json->is_object()) {
    warning_ = "what looked like a tool call could not be read and is content";
    delta.content += text;
  } else {
    delta.tool_calls.push_back({0, {}, recipient_, dump(*json)});
    if (!syntax_->parallel_calls) state_ = State::kDone;
  }
  recipient_.clear();
}

}  // namespace tidal
