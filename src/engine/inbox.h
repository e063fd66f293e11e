// Inbox: what other threads ask of the engine: requests, cancels, the end.
//
// Every function may be called from any thread; take() and wait() by the one that steps.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/active_request.h"

namespace tidal {

class Inbox {
 public:
  // Takes at most max_requests that have not ended; 0: any number.
  explicit Inbox(int64_t max_requests) : max_requests_(max_requests) {}

  // Numbers the request. Throws Error(kExhausted) when there are too many.
  RequestId push(std::unique_ptr<ActiveRequest> request);
  // Sets the request's stop at once and has it taken. Unknown ids are ignored.
  void cancel(RequestId id);
  // The request has ended: its id is unknown from now on.
  void forget(RequestId id);

  // Unless busy, sleeps until something was pushed or cancelled. False once closed.
  bool wait(bool busy);
  void close();

  struct Mail {
    std::vector<std::unique_ptr<ActiveRequest>> requests;
    std::vector<RequestId> cancelled;
  };
  Mail take();

 private:
  const int64_t max_requests_;
  std::mutex mutex_;
  std::condition_variable news_;
  bool closed_ = false;
  RequestId last_id_ = 0;
  Mail mail_;
  std::unordered_map<RequestId, std::shared_ptr<std::atomic<bool>>> stops_;  // of all not ended
};

}  // namespace tidal
