// Metrics: what the server counts, as text for Prometheus.
//
// Names begin with tidal:, those of llama.cpp and vLLM come beside them where dashboards and
// routers look for them. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "server/answer.h"

namespace tidal::server {

// Of the moment.
struct MetricsNow {
  int64_t running = 0;
  int64_t waiting = 0;
  double cache_share = 0;  // of its pages that are in use
  int64_t steps = 0;       // of the engine
  int64_t paused = 0;      // how often a request had to give its rows to others
};

class Metrics {
 public:
  // names: of "tidal", "llamacpp", "vllm".
  explicit Metrics(std::set<std::string> names);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void first_token(double since_ms);  // the request came
  void next_token(double since_ms);   // the one before
  void finished(const Progress& progress);
  void failed();
  std::string text(const MetricsNow& now, const std::string& model) const;

 private:
  struct Histograms;

  std::set<std::string> names_;
  mutable std::mutex mutex_;  // guards the sums
  Progress sum_;              // of all that finished
  int64_t steps_generated_ = 0;
  int64_t n_finished_ = 0;
  int64_t n_failed_ = 0;
  int64_t longest_ = 0;
  std::unique_ptr<Histograms> histograms_;
};

}  // namespace tidal::server
