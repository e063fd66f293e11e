#include "server/kv_events.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "base/json.h"
#include "tidal/error.h"

#ifdef TIDAL_HAS_ZMQ
#include <zmq.hpp>
#include <zmq_addon.hpp>
#endif

namespace tidal::server {
namespace {

#ifdef TIDAL_HAS_ZMQ

// What a subscriber gets: the number of a message, and its event.
class Subscriber {
 public:
  explicit Subscriber(const std::string& endpoint) {
    socket_.set(zmq::sockopt::subscribe, "");
    socket_.set(zmq::sockopt::rcvtimeo, 100);
    socket_.connect(endpoint);
  }
  bool receive() {
    std::vector<zmq::message_t> parts;
    if (!zmq::recv_multipart(socket_, std::back_inserter(parts))) return false;
    EXPECT_EQ(parts.size(), 3u);
    EXPECT_EQ(parts[0].size(), 0u);
    EXPECT_EQ(parts[1].size(), 8u);
    number = parts[1].data<uint8_t>()[7];
    const nlohmann::json batch = nlohmann::json::from_msgpack(parts[2].to_string());
    EXPECT_EQ(batch.size(), 3u);
    EXPECT_GT(batch[0].get<double>(), 1.7e9);
    EXPECT_EQ(batch[1].size(), 1u);
    EXPECT_EQ(batch[2], 0);
    event = batch[1][0];
    return true;
  }

  int number = -1;
  nlohmann::json event;

 private:
  zmq::context_t context_{1};
  zmq::socket_t socket_{context_, zmq::socket_type::sub};
};

TEST(KvEvents, SaysWhatVllmDoes) {
  KvEvents events("tcp://127.0.0.1:*");
  Subscriber subscriber(events.endpoint());
  const uint64_t gone = 1;
  while (!subscriber.receive()) events.publish({.kept = false, .blocks = {&gone, 1}, .tokens = {}});
  const int before = subscriber.number;
  const uint64_t first_block = subscriber.event["block_hashes"][0].get<uint64_t>() - gone;

  std::vector<int32_t> tokens(32);
  std::iota(tokens.begin(), tokens.end(), 100);
  const std::vector<uint64_t> blocks = {7, 9};
  events.publish({.kept = true, .blocks = blocks, .parent = 0, .tokens = tokens});
  events.publish({.kept = true,
                  .blocks = {blocks.data(), 1},
                  .parent = 9,
                  .tokens = std::span(tokens).first(16)});
  while (subscriber.receive() && subscriber.event["type"] == "BlockRemoved") {
  }
  EXPECT_GT(subscriber.number, before);
  EXPECT_EQ(subscriber.event, (nlohmann::json{{"type", "BlockStored"},
                                              {"block_hashes", {first_block + 7, first_block + 9}},
                                              {"parent_block_hash", nullptr},
                                              {"token_ids", tokens},
                                              {"block_size", 16},
                                              {"lora_id", nullptr},
                                              {"medium", nullptr},
                                              {"lora_name", nullptr}}));
  const int number = subscriber.number;
  ASSERT_TRUE(subscriber.receive());
  EXPECT_EQ(subscriber.number, number + 1);
  EXPECT_EQ(subscriber.event["parent_block_hash"], first_block + 9);
}

TEST(KvEvents, BlocksOfAnotherRunAreOthers) {
  KvEvents first("tcp://127.0.0.1:*"), second("tcp://127.0.0.1:*");
  Subscriber to_first(first.endpoint()), to_second(second.endpoint());
  const uint64_t block = 1;
  const CacheEvent gone{.kept = false, .blocks = {&block, 1}, .parent = 0, .tokens = {}};
  while (!to_first.receive()) first.publish(gone);
  while (!to_second.receive()) second.publish(gone);
  EXPECT_NE(to_first.event["block_hashes"], to_second.event["block_hashes"]);
}

TEST(KvEvents, NamesTheFlagWhereItCannotPublish) {
  const KvEvents taken("tcp://127.0.0.1:*");
  for (const std::string& endpoint : {taken.endpoint(), std::string("nonsense"), std::string()}) {
    try {
      const KvEvents refused(endpoint);
      ADD_FAILURE() << endpoint;
    } catch (const Error& error) {
      EXPECT_EQ(error.option(), "kv_events");
    }
  }
}

#else

TEST(KvEvents, AreRefusedWithoutZeroMq) { EXPECT_THROW(KvEvents("tcp://127.0.0.1:*"), Error); }

#endif

}  // namespace
}  // namespace tidal::server
