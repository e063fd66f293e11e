// PrefixCache: cached rows of conversations, kept from one request for the next.
//
// Holds for each conversation the rows of its last prompt, all written by full attention: rows that
// sparse decode steps wrote are not kept, so what is reused is exact. Entries hold pages of the
// pool until taken or dropped. Not thread-safe; the pool must outlive it.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "kv/sequence_kv.h"

namespace tidal {

class PrefixCache {
 public:
  // Replaces what the conversation had. kv holds exactly the rows of tokens.
  void put(uint64_t conversation, std::vector<int32_t> tokens, SequenceKv kv);

  // The conversation's rows, cut to what they share with the first tokens of a prompt and to fewer
  // than all of them (one row at least must run to give logits). Nothing when nothing is shared.
  std::optional<SequenceKv> take(uint64_t conversation, std::span<const int32_t> prompt);

  // Gives the pages of the entry used longest ago back. False when there is none.
  bool drop_oldest();

 private:
  struct Entry {
    uint64_t conversation;
    std::vector<int32_t> tokens;
    SequenceKv kv;
  };
  std::list<Entry> entries_;  // oldest first
};

}  // namespace tidal
