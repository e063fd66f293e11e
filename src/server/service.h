// Service: what the endpoints work with, once the model is there.
//
// Thread-safe. One thread steps the engine, two read requests (JSON, templates, tokens), one writes
// answers. The engine is closed when the service ends. The constructor throws Error where what is
// cached cannot be published.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/option_table.h"
#include "server/answer.h"
#include "server/http.h"
#include "server/kv_events.h"
#include "server/metrics.h"
#include "server/tasks.h"
#include "tidal/engine.h"

namespace tidal::server {

struct ServiceOptions {
  Options defaults;  // of requests; a seed of kAnySeed: any
  std::string model_path;
  std::set<std::string> aliases;  // the first is the model's name; none: the file's
  std::set<std::string> tags;
  int64_t n_slots = 4;             // requests decoded at the same time
  int64_t request_context = 0;     // tokens one request may reach; 0: the whole cache
  std::string reasoning = "auto";  // on, off: where a request does not say
  std::string reasoning_format;    // likewise; empty: the engine's own default
  std::chrono::seconds late{0};    // then a JSON reply begins with spaces; 0: never
  bool metrics = false;            // GET /metrics
  std::set<std::string> metrics_names{"tidal", "llamacpp"};
  bool slots = false;     // GET /slots
  std::string kv_events;  // where CacheEvents are published; empty: nowhere
  bool verbose = false;   // __verbose in every reply
};

class Generation;

// A request that is being answered.
struct HttpCall {
  HttpRequest request;
  Responder responder;
  Json body;          // of POST
  std::string owner;  // whose texts it shares; empty: everybody's
};

class Service {
 public:
  Service(Engine& engine, const ServiceOptions& options);
  ~Service();  // cancels what still runs
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  Engine& engine() { return engine_; }
  TaskThreads& readers() { return readers_; }
  TaskThreads& writer() { return writer_; }
  const ServiceOptions& options() const { return options_; }

  std::string model_name() const;
  int64_t request_context() const;  // tokens one request may reach
  int64_t started() const { return started_; }
  std::string piece(int32_t token) const { return engine_.piece(token); }

  Metrics& metrics() { return metrics_; }
  std::string metrics_text() const;
  // Where what is cached is published; empty: nowhere.
  std::string kv_events_endpoint() const { return kv_events_ ? kv_events_->endpoint() : ""; }

  // llama.cpp's slots: a request that names one shares what was read with that slot's alone, and
  // not with what the slot had before it was forgotten.
  std::string slot_salt(int64_t slot, const std::string& salt) const;
  void forget_slot(int64_t slot);

  // Answers that are under way.
  void enter(Generation* generation);
  void leave(Generation* generation);
  bool draining() const { return draining_.load(); }
  // Refuses new work from now on, and waits for what runs.
  void drain();

  // Logs fields that mean nothing to any API, each once.
  void note_unknown_fields(const Json& body);

 private:
  Engine& engine_;
  ServiceOptions options_;
  int64_t started_;
  Metrics metrics_;
  std::unique_ptr<KvEvents> kv_events_;
  std::atomic<int64_t> steps_{0};
  std::atomic<bool> draining_{false};
  mutable std::mutex mutex_;              // guards the three below
  std::map<int64_t, int64_t> forgotten_;  // how often a slot was
  std::set<Generation*> running_;
  std::set<std::string> noted_;
  std::condition_variable changed_;
  TaskThreads writer_{1};
  std::thread stepper_;
  TaskThreads readers_{2};
};

}  // namespace tidal::server
