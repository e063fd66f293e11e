// A fixed team of threads for data-parallel loops.
//
// run(n, f) calls f(task, worker) once for every task in [0, n), the caller being worker 0, and
// returns when all are done. Which worker gets which task is not fixed, so results must depend on
// the task alone: that is how every reduction here gives the same bits for any number of threads.
// Workers spin briefly for the next loop and then sleep; nothing allocates. One run() at a time,
// not reentrant; f must not throw.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace tidal {

class ThreadPool {
 public:
  explicit ThreadPool(int n_threads);  // >= 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return n_threads_; }

  template <typename F>
  void run(int64_t n_tasks, F&& f) {
    using Function = std::remove_reference_t<F>;
    run_erased(
        n_tasks,
        [](void* context, int64_t task, int worker) {
          (*static_cast<Function*>(context))(task, worker);
        },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  using TaskFunction = void (*)(void* context, int64_t task, int worker);

  void run_erased(int64_t n_tasks, TaskFunction function, void* context);
  void work(int worker);
  void worker_loop(int worker);

  const int n_threads_;
  const int spins_;
  std::vector<std::thread> threads_;

  TaskFunction function_ = nullptr;
  void* context_ = nullptr;
  int64_t n_tasks_ = 0;
  alignas(64) std::atomic<int64_t> next_task_{0};
  // The loop's number, whether it may still be joined, and how many workers are inside.
  alignas(64) std::atomic<uint32_t> state_{0};
  std::atomic<bool> stop_{false};
};

// The number of threads to use by default: TIDAL_THREADS if set, else the physical cores this
// process may run on (its affinity mask, capped by a cgroup CPU quota). At least 1.
int default_threads();

}  // namespace tidal
