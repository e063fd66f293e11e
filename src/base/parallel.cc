#include "base/parallel.h"

#include <sched.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "base/cgroup.h"
#include "base/check.h"
#include "base/fail.h"

namespace tidal {
namespace {

constexpr int64_t kMaxTasks = int64_t{1} << 31;
constexpr int kNoQuota = 1 << 20;  // processors

constexpr uint64_t tasks_between(int64_t next, int64_t end) {
  return static_cast<uint64_t>(end) << 32 | static_cast<uint64_t>(next);
}
constexpr uint32_t next_of(uint64_t tasks) { return static_cast<uint32_t>(tasks); }
constexpr bool any_left(uint64_t tasks) { return next_of(tasks) < tasks >> 32; }

void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

// Hyper-threads of one core share its memory ports: they add nothing to a bandwidth-bound loop.
int physical_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::ifstream file(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    std::string siblings;
    if (!std::getline(file, siblings)) return allowed_cpus();
    cores.insert(siblings);
  }
  return std::max<int>(1, static_cast<int>(cores.size()));
}

}  // namespace

int usable_cpus() { return std::min(allowed_cpus(), cgroup_cpus().value_or(kNoQuota)); }

int default_threads() {
  if (const char* text = std::getenv("TIDAL_THREADS")) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > 4096) {
      fail(ErrorCode::kInvalidArgument, "TIDAL_THREADS is '{}'; give a number from 1 to 4096",
           text);
    }
    return static_cast<int>(n);
  }
  return std::min(physical_cores(), cgroup_cpus().value_or(kNoQuota));
}

int thread_count(int asked) {
  const int n = asked > 0 ? asked : default_threads();
  const int usable = usable_cpus();
  if (n <= usable) return n;
  spdlog::warn("{} threads instead of {}: this process may not use more processors", usable, n);
  return usable;
}

// With more threads than processors a spinning worker holds up the one it waits for.
ThreadPool::ThreadPool(int n_threads)
    : n_threads_(n_threads),
      spins_(n_threads <= usable_cpus() ? 20000 : 0),
      shares_(static_cast<size_t>(n_threads)) {
  TIDAL_CHECK(n_threads >= 1);
  for (int worker = 1; worker < n_threads; ++worker) {
    threads_.emplace_back([this, worker] { worker_loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_seq_cst);
  wakes_.fetch_add(1, std::memory_order_release);
  wakes_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

// Does the rest of the worker's own share, then of the others'. Returns how many tasks it did.
uint32_t ThreadPool::work(int worker) {
  uint32_t n_done = 0;
  for (int i = 0; i < n_threads_; ++i) {
    std::atomic<uint64_t>& tasks = shares_[static_cast<size_t>((worker + i) % n_threads_)].tasks;
    while (any_left(tasks.load(std::memory_order_relaxed))) {
      // May belong to a later loop than the one that woke this worker: that is fine.
      const uint64_t mine = tasks.fetch_add(1, std::memory_order_acquire);
      if (!any_left(mine)) break;
      function_(context_, next_of(mine), worker);
      ++n_done;
    }
  }
  return n_done;
}

void ThreadPool::run_erased(int64_t n_tasks, TaskFunction function, void* context) {
  if (n_tasks <= 0) return;
  if (n_threads_ == 1 || n_tasks == 1) {
    for (int64_t task = 0; task < n_tasks; ++task) function(context, task, 0);
    return;
  }
  TIDAL_CHECK(n_tasks < kMaxTasks, "{} tasks", n_tasks);
  function_ = function;
  context_ = context;
  for (int worker = n_threads_ - 1; worker >= 0; --worker) {
    // Sequentially consistent, like wait_for_tasks(): either a worker sees its tasks before it
    // sleeps, or it is seen sleeping here.
    shares_[static_cast<size_t>(worker)].tasks.store(
        tasks_between(n_tasks * worker / n_threads_, n_tasks * (worker + 1) / n_threads_),
        std::memory_order_seq_cst);
  }
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    wakes_.fetch_add(1, std::memory_order_release);
    wakes_.notify_all();
  }
  expected_ += static_cast<uint32_t>(n_tasks) - work(0);
  uint32_t done = done_.load(std::memory_order_acquire);
  for (int i = 0; done != expected_; ++i) {
    if (i < spins_) {
      cpu_relax();
    } else {
      done_.wait(done, std::memory_order_acquire);
    }
    done = done_.load(std::memory_order_acquire);
  }
}

void ThreadPool::wait_for_tasks(const Share& own) {
  for (int i = 0; i < spins_; ++i) {
    if (any_left(own.tasks.load(std::memory_order_relaxed))) return;
    cpu_relax();
  }
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t wakes = wakes_.load(std::memory_order_acquire);
  if (!any_left(own.tasks.load(std::memory_order_seq_cst)) &&
      !stop_.load(std::memory_order_seq_cst)) {
    wakes_.wait(wakes, std::memory_order_acquire);
  }
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
}

void ThreadPool::worker_loop(int worker) {
  while (!stop_.load(std::memory_order_relaxed)) {
    wait_for_tasks(shares_[static_cast<size_t>(worker)]);
    const uint32_t n_done = work(worker);
    if (n_done == 0) continue;
    done_.fetch_add(n_done, std::memory_order_release);
    done_.notify_one();
  }
}

}  // namespace tidal
