#include "engine/inbox.h"

#include <utility>

#include "base/fail.h"

namespace tidal {

RequestId Inbox::push(std::unique_ptr<ActiveRequest> request) {
  const std::lock_guard lock(mutex_);
  if (max_requests_ > 0 && std::ssize(stops_) >= max_requests_) {
    fail_option("max_queue", ErrorCode::kExhausted,
                "the queue is full: {} requests run or wait; try again later or raise `max_queue`",
                stops_.size());
  }
  request->id = request->completion.id = ++last_id_;
  stops_.emplace(last_id_, request->stop_flag);
  mail_.requests.push_back(std::move(request));
  news_.notify_one();
  return last_id_;
}

void Inbox::cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  const auto found = stops_.find(id);
  if (found == stops_.end()) return;
  *found->second = true;
  mail_.cancelled.push_back(id);
  news_.notify_one();
}

void Inbox::forget(RequestId id) {
  const std::lock_guard lock(mutex_);
  stops_.erase(id);
}

bool Inbox::wait(bool busy) {
  std::unique_lock lock(mutex_);
  news_.wait(
      lock, [&] { return busy || closed_ || !mail_.requests.empty() || !mail_.cancelled.empty(); });
  return !closed_;
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  news_.notify_all();
}

Inbox::Mail Inbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(mail_, {});
}

}  // namespace tidal
