// TaskThreads: tasks run one after another, in the order they came, on one or more threads.
//
// post() from any thread. The destructor runs what was posted before it and then ends; a task that
// throws is logged.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tidal::server {

class TaskThreads {
 public:
  explicit TaskThreads(int n_threads);
  ~TaskThreads();
  TaskThreads(const TaskThreads&) = delete;
  TaskThreads& operator=(const TaskThreads&) = delete;

  void post(std::function<void()> task);

 private:
  void work();

  std::mutex mutex_;  // guards the two below
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
};

}  // namespace tidal::server
