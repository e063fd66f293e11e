#include "server/service.h"

#include <fmt/format.h>

#include <ctime>
#include <filesystem>

#include "base/log.h"
#include "base/quote.h"
#include "server/call.h"
#include "server/generation.h"

namespace tidal::server {
namespace {

std::unique_ptr<KvEvents> publish_cache(Engine& engine, const std::string& endpoint) {
  if (endpoint.empty()) return nullptr;
  auto events = std::make_unique<KvEvents>(endpoint);
  engine.listen_to_cache([&to = *events](const CacheEvent& event) { to.publish(event); });
  return events;
}

}  // namespace

Service::Service(Engine& engine, const ServiceOptions& options)
    : engine_(engine),
      options_(options),
      started_(std::time(nullptr)),
      metrics_(options.metrics_names),
      kv_events_(publish_cache(engine, options.kv_events)),
      stepper_([this] {
        while (engine_.wait()) {
          if (engine_.step()) ++steps_;
        }
      }) {}

Service::~Service() {
  draining_ = true;
  {
    const std::lock_guard lock(mutex_);
    for (Generation* generation : running_) generation->cancel();
  }
  drain();
  engine_.close();
  stepper_.join();
  engine_.listen_to_cache(nullptr);
}

std::string Service::metrics_text() const {
  const EngineStats stats = engine_.stats();
  MetricsNow now;
  now.running = stats.running;
  now.waiting = stats.waiting;
  if (stats.cache_tokens > 0) {
    now.cache_share = static_cast<double>(stats.cached_tokens - stats.kept_tokens) /
                      static_cast<double>(stats.cache_tokens);
  }
  now.steps = steps_;
  now.paused = stats.paused;
  return metrics_.text(now, model_name());
}

std::string Service::model_name() const {
  if (!options_.aliases.empty()) return *options_.aliases.begin();
  const std::filesystem::path path(options_.model_path);
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

int64_t Service::request_context() const {
  return options_.request_context > 0 ? options_.request_context : engine_.context_size();
}

void Service::enter(Generation* generation) {
  const std::lock_guard lock(mutex_);
  if (draining_) throw ApiError(503, "the server is shutting down");
  running_.insert(generation);
}

void Service::leave(Generation* generation) {
  {
    const std::lock_guard lock(mutex_);
    running_.erase(generation);
  }
  changed_.notify_all();
}

void Service::drain() {
  std::unique_lock lock(mutex_);
  draining_ = true;
  changed_.wait(lock, [this] { return running_.empty(); });
}

std::string Service::slot_salt(int64_t slot, const std::string& salt) const {
  if (slot < 0) return salt;
  const std::lock_guard lock(mutex_);
  const auto found = forgotten_.find(slot);
  return fmt::format("{} slot {} after {}", salt, slot,
                     found == forgotten_.end() ? 0 : found->second);
}

void Service::forget_slot(int64_t slot) {
  const std::lock_guard lock(mutex_);
  ++forgotten_[slot];
}

void Service::note_unknown_fields(const Json& body) {
  constexpr size_t kMost = 256;
  for (const auto& [name, value] : body.items()) {
    if (name == "tidal" || is_known_field(name)) continue;
    const std::lock_guard lock(mutex_);
    if (noted_.size() < kMost && noted_.insert(name.substr(0, 80)).second) {
      spdlog::info("the field {} of a request means nothing here", quote(name));
    }
  }
}

}  // namespace tidal::server
