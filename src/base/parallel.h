// A fixed team of threads for data-parallel loops.
//
// run(n, f) calls f(task, worker) once for every task in [0, n), the caller being worker 0, and
// returns when all are done. Each worker begins with its own share of consecutive tasks, so that it
// walks through memory in order, and then takes over tasks others have not begun: a worker that
// sleeps or is held up delays nobody. Which worker gets which task is therefore not fixed, and
// results must depend only on the task: that is how every reduction here gives the same bits for
// any number of threads.
//
// Between loops workers spin, long enough to stay awake through a decode step: a loop then costs
// one store per worker to begin and one counter to end, no system call. After that they sleep.
// Nothing allocates. One run() at a time, not reentrant; f must not throw.
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

  // The unclaimed tasks of a worker's share: the next one in the lower half, the end in the upper
  // half. Whoever increments it owns that task of the current loop.
  struct alignas(64) Share {
    std::atomic<uint64_t> tasks{0};
  };

  void run_erased(int64_t n_tasks, TaskFunction function, void* context);
  uint32_t work(int worker);
  void worker_loop(int worker);
  void wait_for_tasks(const Share& own);

  const int n_threads_;
  const int spins_;
  std::vector<std::thread> threads_;

  // Of the current loop; written before its shares, read by those who own one of its tasks.
  TaskFunction function_ = nullptr;
  void* context_ = nullptr;
  uint32_t expected_ = 0;                      // what done_ will be after this loop
  std::vector<Share> shares_;                  // [n_threads]
  alignas(64) std::atomic<uint32_t> done_{0};  // tasks ever done by workers other than the caller
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<uint32_t> wakes_{0};
  std::atomic<bool> stop_{false};
};

// The processors this process can keep busy: its affinity mask, capped by a cgroup CPU quota.
int usable_cpus();

// The default number of threads: TIDAL_THREADS if set, else the usable physical cores. At least 1.
int default_threads();

// The requested number, 0 meaning the default; no more than usable_cpus(), beyond which threads
// only wait for one another. Logs if it gives fewer.
int thread_count(int asked);

}  // namespace tidal
