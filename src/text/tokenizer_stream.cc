#include "base/utf8.h"
#include "text/tokenizer.h"

namespace tidal {

StreamDecoder::StreamDecoder(Tokenizer tokenizer, bool keep_special, bool at_start)
    : tokenizer_(std::move(tokenizer)),
      keep_special_(keep_special),
      at_start_(at_start),
      strip_next_(at_start && tokenizer_.strips_leading_space()) {}

std::string StreamDecoder::push(TokenId id) {
  const bool control = tokenizer_.is_control(id);
  if (control && !keep_special_) return "";
  std::string_view bytes = tokenizer_.piece(id);
  if (!control) {
    if (strip_next_ && bytes.starts_with(' ')) bytes.remove_prefix(1);
    strip_next_ = false;
  }
  waiting_ += bytes;
  return take_whole_characters();
}

std::string StreamDecoder::take_whole_characters() {
  std::string text;
  size_t at = 0;
  while (at < waiting_.size()) {
    const Utf8Step step = read_utf8(waiting_, at);
    if (step.kind == Utf8Step::Kind::kTruncated) break;
    if (step.kind == Utf8Step::Kind::kCharacter) {
      text.append(waiting_, at, step.length);
    } else {
      text += kReplacementCharacter;
    }
    at += step.length;
  }
  waiting_.erase(0, at);
  return text;
}

std::string StreamDecoder::flush() {
  const bool unfinished = !waiting_.empty();
  waiting_.clear();
  strip_next_ = at_start_ && tokenizer_.strips_leading_space();
  return unfinished ? std::string(kReplacementCharacter) : "";
}

}  // namespace tidal
