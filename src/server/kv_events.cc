#include "server/kv_events.h"

#include <array>
#include <chrono>
#include <random>
#include <span>

#include "base/fail.h"
#include "base/json.h"
#include "base/quote.h"

#ifdef TIDAL_HAS_ZMQ
#include <spdlog/spdlog.h>

#include <zmq.hpp>
#endif

namespace tidal::server {
namespace {

nlohmann::json event_json(const CacheEvent& event, uint64_t first_block) {
  nlohmann::json blocks = nlohmann::json::array();
  for (const uint64_t block : event.blocks) blocks.push_back(first_block + block);
  if (!event.kept) {
    return {{"type", "BlockRemoved"}, {"block_hashes", std::move(blocks)}, {"medium", nullptr}};
  }
  nlohmann::json parent;
  if (event.parent != 0) parent = first_block + event.parent;
  return {{"type", "BlockStored"},
          {"block_hashes", std::move(blocks)},
          {"parent_block_hash", std::move(parent)},
          {"token_ids", event.tokens},
          {"block_size", event.tokens.size() / event.blocks.size()},
          {"lora_id", nullptr},
          {"medium", nullptr},
          {"lora_name", nullptr}};
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Half of what 64 bits hold: room for every id that may come.
uint64_t draw_first_block() { return uint64_t{std::random_device()()} << 31; }

std::array<uint8_t, 8> big_endian(uint64_t number) {
  std::array<uint8_t, 8> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(number >> (56 - 8 * i));
  }
  return bytes;
}

}  // namespace

#ifdef TIDAL_HAS_ZMQ

struct KvEvents::Socket {
  explicit Socket(const std::string& endpoint) {
    publisher.set(zmq::sockopt::linger, 0);
    try {
      publisher.bind(endpoint);
    } catch (const zmq::error_t& error) {
      fail_option("kv_events", ErrorCode::kInvalidArgument, "--kv-events: cannot publish at {}: {}",
                  quote(endpoint, 200), error.what());
    }
  }
  std::string endpoint() const { return publisher.get(zmq::sockopt::last_endpoint); }
  // Never waits nor throws: what a subscriber is too slow for, or what cannot be sent, is dropped,
  // and the numbers show it.
  void send(std::span<const uint8_t> number, std::span<const uint8_t> payload) noexcept {
    try {
      publisher.send(zmq::str_buffer(""), zmq::send_flags::sndmore);
      publisher.send(zmq::buffer(number.data(), number.size()), zmq::send_flags::sndmore);
      publisher.send(zmq::buffer(payload.data(), payload.size()), zmq::send_flags::none);
    } catch (const zmq::error_t& error) {
      spdlog::warn("event of the cache not sent: {}", error.what());
    }
  }

  zmq::context_t context{1};
  zmq::socket_t publisher{context, zmq::socket_type::pub};
};

#else

struct KvEvents::Socket {
  explicit Socket(const std::string&) {
    fail_option("kv_events", ErrorCode::kUnsupported,
                "--kv-events: this build has no ZeroMQ, install libzmq3-dev and cppzmq-dev and "
                "build again");
  }
  std::string endpoint() const { return {}; }
  void send(std::span<const uint8_t>, std::span<const uint8_t>) {}
};

#endif

KvEvents::KvEvents(const std::string& endpoint)
    : socket_(std::make_unique<Socket>(endpoint)), first_block_(draw_first_block()) {}
KvEvents::~KvEvents() = default;

std::string KvEvents::endpoint() const { return socket_->endpoint(); }

void KvEvents::publish(const CacheEvent& event) {
  const nlohmann::json batch = {seconds_now(),
                                nlohmann::json::array({event_json(event, first_block_)}), 0};
  socket_->send(big_endian(number_++), nlohmann::json::to_msgpack(batch));
}

}  // namespace tidal::server
