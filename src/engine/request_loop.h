// RequestLoop: the step of the engine: admits requests, runs one batch, and takes what came of it.
//
// When the cache is full the youngest request is paused: it gives up its rows, which stay for a
// while as kept ones, and waits in front of those that came after it. Later its prompt is read
// again and its tokens are run again one by one by its method, so that nothing it says differs.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/active_request.h"
#include "engine/chunk_budget.h"
#include "engine/inbox.h"
#include "engine/scheduler.h"
#include "engine/speculation.h"
#include "model/decoder.h"
#include "runtime/runtime.h"

namespace tidal {

class RequestLoop {
 public:
  // All of these must outlive it.
  RequestLoop(const SchedulerLimits& limits, Runtime& runtime, const Tokenizer& tokenizer,
              Inbox& inbox);
  // Whatever has not ended does now, as cancelled.
  ~RequestLoop();
  RequestLoop(const RequestLoop&) = delete;
  RequestLoop& operator=(const RequestLoop&) = delete;

  // Runs one batch. False when there was nothing to do. Whatever goes wrong with one request ends
  // that one: nothing is thrown.
  bool step();
  bool idle() const { return running_.empty() && waiting_.empty(); }

  void listen_to_cache(CacheListener listener) { scheduler_.listen_to_cache(std::move(listener)); }
  EngineStats stats() const;
  // Those that run, by when they were admitted.
  void describe(std::vector<RequestInfo>& requests) const;

 private:
  using Clock = ActiveRequest::Clock;

  void take_mail();
  void cancel(RequestId id);
  void admit();
  bool shares_what_is_being_read(const ActiveRequest& next) const;
  void start(ActiveRequest& request, SequenceKv rows);
  std::string reuse_note(const ActiveRequest& request, int64_t reused) const;
  std::span<const Running> running();
  std::span<const Scheduled> plan();
  void make_way();
  Clock::time_point mark_started(std::span<const Scheduled> scheduled);
  void measure(std::span<const Scheduled> scheduled, Clock::duration duration);
  void commit_or_end(ActiveRequest& request, const Scheduled& part, std::span<const float> logits);
  void commit(ActiveRequest& request, const Scheduled& part, std::span<const float> logits);
  void take_prompt_logits(ActiveRequest& request, const Scheduled& part,
                          std::span<const float> logits);
  void take_verified(ActiveRequest& request, const Scheduled& part, std::span<const float> logits);
  std::span<const float> logits_of(std::span<const float> logits, int32_t row) const;
  bool take_logits(ActiveRequest& request, std::span<const float> logits);
  void keep(const ActiveRequest& request);
  void end_with(ActiveRequest& request, std::string error);
  void finish(ActiveRequest& request, FinishReason reason);

  SchedulerLimits limits_;
  Runtime& runtime_;
  const Tokenizer& tokenizer_;
  Inbox& inbox_;
  Scheduler scheduler_;
  ChunkBudget budget_;
  Speculation speculation_;
  Batch batch_;
  std::vector<Running> sequences_;                       // those of running_, during a step
  std::deque<std::unique_ptr<ActiveRequest>> waiting_;   // by id
  std::vector<std::unique_ptr<ActiveRequest>> running_;  // by when they were admitted
  EngineStats stats_;
};

}  // namespace tidal
