#include "chat/tagged_reply.h"

#include <algorithm>
#include <utility>

#include "chat/call_parsers.h"

namespace tidal {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr size_t kLongestSpace = 256;  // that an answer may begin with

size_t first_solid(std::string_view text) {
  const size_t found = text.find_first_not_of(kSpace);
  return found == text.npos ? text.size() : found;
}

}  // namespace

size_t unfinished_tag(std::string_view text, const std::vector<std::string_view>& tags) {
  size_t longest = 0;
  for (const std::string_view tag : tags) {
    for (size_t n = std::min(tag.size(), text.size() + 1) - 1; n > longest; --n) {
      if (text.ends_with(tag.substr(0, n))) longest = n;
    }
  }
  return longest;
}

TaggedReply::TaggedReply(std::shared_ptr<const SyntaxData> syntax) : syntax_(std::move(syntax)) {
  const bool with_tools = !syntax_->tools.is_null() && syntax_->format != nullptr;
  if (with_tools && !syntax_->format->open.empty()) tags_.push_back(syntax_->format->open);
  if (syntax_->format != nullptr) {
    const auto& dropped = syntax_->format->dropped;
    tags_.insert(tags_.end(), dropped.begin(), dropped.end());
  }
  bare_allowed_ = with_tools && syntax_->format->bare_json;
  if (syntax_->reasoning_open && syntax_->split_reasoning) {
    state_ = State::kReasoning;
    skip_space_ = true;
  }
}

void TaggedReply::finish(ChatDelta& delta) {
  run(/*at_end=*/true, delta);
  if (state_ == State::kDone) return;
  (state_ == State::kReasoning ? delta.reasoning : delta.content) += space_;
  space_.clear();
}

void TaggedReply::run(bool at_end, ChatDelta& delta) {
  bool more = true;
  while (more) {
    switch (state_) {
      case State::kStart:
        more = start(at_end, delta);
        break;
      case State::kReasoning:
        more = reason(at_end, delta);
        break;
      case State::kText:
        more = read_text(at_end, delta);
        break;
      case State::kCalls:
        more = call(at_end, delta);
        break;
      case State::kDone:
        pending_.clear();
        return;
    }
  }
}

// An answer may begin with reasoning.
bool TaggedReply::start(bool at_end, ChatDelta&) {
  const std::string_view solid = std::string_view(pending_).substr(first_solid(pending_));
  const std::string_view tag = syntax_->reasoning.start;
  if (syntax_->split_reasoning && solid.starts_with(tag)) {
    pending_.erase(0, pending_.size() - solid.size() + tag.size());
    state_ = State::kReasoning;
    skip_space_ = true;
    return true;
  }
  if (syntax_->split_reasoning && tag.starts_with(solid) && !at_end &&
      pending_.size() < kLongestSpace) {
    return false;
  }
  state_ = State::kText;
  return true;
}

bool TaggedReply::reason(bool at_end, ChatDelta& delta) {
  const std::string_view tag = syntax_->reasoning.end;
  const size_t end = pending_.find(tag);
  const size_t certain = end != pending_.npos ? end
                         : at_end             ? pending_.size()
                                              : pending_.size() - unfinished_tag(pending_, {tag});
  emit(std::string_view(pending_).substr(0, certain), &delta.reasoning);
  pending_.erase(0, certain);
  if (end == std::string::npos) return false;
  pending_.erase(0, tag.size());
  space_.clear();
  skip_space_ = true;
  state_ = State::kText;
  return true;
}

// White space at the end is held back: what stands around reasoning and calls is layout.
void TaggedReply::emit(std::string_view text, std::string* out) {
  if (skip_space_) text.remove_prefix(first_solid(text));
  if (text.empty()) return;
  skip_space_ = false;
  const size_t end = text.find_last_not_of(kSpace) + 1;
  if (end > 0) out->append(std::exchange(space_, {})).append(text.substr(0, end));
  space_ += text.substr(end);
}

void TaggedReply::emit_content(std::string_view text, ChatDelta& delta) {
  if (first_solid(text) < text.size()) bare_allowed_ = false;
  emit(text, &delta.content);
  if (tags_.empty()) delta.content += std::exchange(space_, {});
}

bool TaggedReply::read_text(bool at_end, ChatDelta& delta) {
  if (bare_allowed_) {
    const size_t solid = first_solid(pending_);
    if (solid == pending_.size() && !at_end && solid < kLongestSpace) return false;
    if (solid < pending_.size() && pending_[solid] == '{') {
      pending_.erase(0, solid);
      parser_ = make_bare_json_calls(*syntax_->format, syntax_->tools);
      state_ = State::kCalls;
      return true;
    }
    bare_allowed_ = false;
  }
  size_t at = pending_.npos;
  std::string_view found;
  for (const std::string_view tag : tags_) {
    const size_t position = pending_.find(tag);
    if (position < at) {
      at = position;
      found = tag;
    }
  }
  if (at == pending_.npos) {
    const size_t held = at_end ? 0 : unfinished_tag(pending_, tags_);
    emit_content(std::string_view(pending_).substr(0, pending_.size() - held), delta);
    pending_.erase(0, pending_.size() - held);
    return false;
  }
  emit_content(std::string_view(pending_).substr(0, at), delta);
  pending_.erase(0, at);
  if (!syntax_->tools.is_null() && found == syntax_->format->open) {
    parser_ = syntax_->format->make_parser(*syntax_->format, syntax_->tools);
    state_ = State::kCalls;
  } else {
    pending_.erase(0, found.size());
  }
  return true;
}

bool TaggedReply::call(bool at_end, ChatDelta& delta) {
  CallOutcome outcome = parser_->feed(pending_, at_end);
  if (!outcome.done) return false;
  bare_allowed_ = false;
  parser_.reset();
  state_ = State::kText;
  if (outcome.calls.empty()) {
    warning_ = "what looked like a tool call could not be read and is content";
    emit_content(std::string_view(pending_).substr(0, outcome.length), delta);
  } else {
    if (!syntax_->parallel_calls) {
      outcome.calls.resize(1);
      state_ = State::kDone;
    }
    for (ToolCall& call : outcome.calls) {
      delta.tool_calls.push_back(
          {0, std::move(call.id), std::move(call.name), std::move(call.arguments)});
    }
    space_.clear();
    skip_space_ = true;
  }
  pending_.erase(0, outcome.length);
  return true;
}

}  // namespace tidal
