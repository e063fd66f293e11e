// CacheEvent: what an engine keeps of texts it has read, as it changes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace tidal {

// Blocks of 16 tokens of one text, one behind the other, that were kept, or given up. Only of texts
// without a cache_salt: the others are somebody's own.
struct CacheEvent {
  bool kept = false;
  std::span<const uint64_t> blocks;  // their ids, each of its block and all that is before it
  uint64_t parent = 0;               // the block before the first one; 0: none
  std::span<const int32_t> tokens;   // [16 * blocks]; empty when they were given up
};

// Called by the thread that decodes. Must not throw, nor wait.
using CacheListener = std::function<void(const CacheEvent&)>;

}  // namespace tidal
