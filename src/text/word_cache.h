// Encodes a list of words, each distinct short one once: words of a text repeat. The cache lives
// for one call, so encoders stay immutable; its memory is bounded.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidal {

// encode_word(word, ids) appends the ids of one word.
template <typename EncodeWord>
void encode_words(const std::vector<std::string_view>& words, std::vector<int32_t>* ids,
                  EncodeWord&& encode_word) {
  constexpr size_t kMaxCachedWord = 48;  // bytes; longer ones rarely repeat
  constexpr size_t kMaxEntries = size_t{1} << 16;
  struct Span {
    size_t begin;
    size_t end;
  };
  std::unordered_map<std::string_view, Span> cache;  // where in `ids` a word was encoded before
  for (const std::string_view word : words) {
    if (word.size() > kMaxCachedWord) {
      encode_word(word, ids);
      continue;
    }
    const auto known = cache.find(word);
    if (known != cache.end()) {
      for (size_t i = known->second.begin; i < known->second.end; ++i) ids->push_back((*ids)[i]);
      continue;
    }
    const size_t begin = ids->size();
    encode_word(word, ids);
    if (cache.size() < kMaxEntries) cache.emplace(word, Span{begin, ids->size()});
  }
}

}  // namespace tidal
