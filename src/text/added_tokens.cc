#include "text/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"

namespace tidal {
namespace {

// Length of the white space at text[at].
size_t space_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size()) {
    const Utf8Step step = read_utf8(text, end);
    if (step.kind != Utf8Step::Kind::kCharacter || !is_white_space(step.code_point)) break;
    end += step.length;
  }
  return end - at;
}

// Start of the white space that ends at `end`.
size_t space_before(std::string_view text, size_t end) {
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 3 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) {
      --begin;
    }
    if (space_at(text.substr(0, end), begin) != end - begin) break;
    end = begin;
  }
  return end;
}

}  // namespace

void AddedTokens::add(std::string_view spelling, int32_t id, bool is_control) {
  trie_.add(spelling, id);
  if (is_control) control_.insert(id);
}

std::vector<TextPart> AddedTokens::cut(std::string_view text, std::span<const ByteRange> content,
                                       bool parse_special) const {
  std::vector<TextPart> parts;
  size_t done = 0;
  auto range = content.begin();  // the first that ends after `at`
  for (size_t at = 0; at < text.size() && !empty();) {
    while (range != content.end() && range->end <= at) ++range;
    const size_t limit = range == content.end() ? text.size() : range->begin;
    const auto match = trie_.longest(text, at, [&](int32_t id, size_t length) {
      return !control_.contains(id) || (parse_special && at + length <= limit);
    });
    if (match.id < 0) {
      ++at;
      continue;
    }
    size_t begin = at;
    if (strip_left_.contains(match.id)) begin = std::max(done, space_before(text, begin));
    at += match.length;
    if (strip_right_.contains(match.id)) at += space_at(text, at);
    if (begin > done) parts.push_back({done, begin, -1});
    parts.push_back({begin, at, match.id});
    done = at;
  }
  if (done < text.size()) parts.push_back({done, text.size(), -1});
  return parts;
}

}  // namespace tidal
