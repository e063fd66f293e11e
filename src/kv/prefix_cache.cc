#include "kv/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidal {

void PrefixCache::put(uint64_t conversation, std::vector<int32_t> tokens, SequenceKv kv) {
  TIDAL_CHECK(kv.length() == static_cast<int64_t>(tokens.size()));
  entries_.remove_if([&](const Entry& entry) { return entry.conversation == conversation; });
  entries_.push_back({conversation, std::move(tokens), std::move(kv)});
}

std::optional<SequenceKv> PrefixCache::take(uint64_t conversation,
                                            std::span<const int32_t> prompt) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.conversation == conversation;
  });
  if (found == entries_.end()) return std::nullopt;
  Entry entry = std::move(*found);
  entries_.erase(found);
  const auto end =
      std::mismatch(prompt.begin(), prompt.end(), entry.tokens.begin(), entry.tokens.end());
  const auto shared =
      std::min<int64_t>(end.first - prompt.begin(), static_cast<int64_t>(prompt.size()) - 1);
  if (shared <= 0) return std::nullopt;
  entry.kv.truncate(shared);
  return std::move(entry.kv);
}

bool PrefixCache::drop_oldest() {
  if (entries_.empty()) return false;
  entries_.pop_front();
  return true;
}

}  // namespace tidal
