// KvEvents: tells routers what is cached here, over ZeroMQ in the form of vLLM (kv_events.py).
//
// A PUB socket; each message has the parts "" (the topic), a number that counts up (8 bytes, big
// endian) and a MessagePack array [seconds since 1970, [event], 0]. An event is a map: BlockStored
// with block_hashes, parent_block_hash, token_ids and block_size, BlockRemoved with block_hashes.
// Whoever may connect learns the tokens of texts that have no cache_salt. Who connects late has
// missed what was before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tidal/cache_event.h"

namespace tidal::server {

class KvEvents {
 public:
  // endpoint: of ZeroMQ, tcp://127.0.0.1:5557; port * is any that is free. Throws Error when it
  // cannot be bound, or when this build has no ZeroMQ.
  explicit KvEvents(const std::string& endpoint);
  ~KvEvents();

  std::string endpoint() const;  // with the port it has
  void publish(const CacheEvent& event);

 private:
  struct Socket;
  std::unique_ptr<Socket> socket_;
  uint64_t first_block_;  // added to ids, so that those of an earlier run mean nothing
  uint64_t number_ = 0;
};

}  // namespace tidal::server
