#include "base/parallel.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/fail.h"

namespace tidal {
namespace {

// The bits of ThreadPool::state_.
constexpr uint32_t kInside = 0x1fff;
constexpr uint32_t kOpen = 0x2000;
constexpr uint32_t kLoop = 0x4000;  // one step of the loop's number, which wraps

constexpr uint32_t loop_of(uint32_t state) { return state & ~(kLoop - 1); }

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

int cgroup_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 1 << 20;
  return std::max(1, static_cast<int>(std::lround(std::strtod(quota.c_str(), nullptr) / period)));
}

}  // namespace

int default_threads() {
  if (const char* text = std::getenv("TIDAL_THREADS")) {
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < 1 || n > 4096) {
      fail(ErrorCode::kInvalidArgument, "TIDAL_THREADS is '{}', give a number from 1 to 4096",
           text);
    }
    return static_cast<int>(n);
  }
  return std::min(physical_cores(), cgroup_quota());
}

// With more threads than processors a spinning worker holds up the one it waits for.
ThreadPool::ThreadPool(int n_threads)
    : n_threads_(n_threads), spins_(n_threads <= allowed_cpus() ? 20000 : 0) {
  TIDAL_CHECK(n_threads >= 1);
  for (int worker = 1; worker < n_threads; ++worker) {
    threads_.emplace_back([this, worker] { worker_loop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  state_.fetch_add(kLoop, std::memory_order_release);
  state_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::work(int worker) {
  for (;;) {
    const int64_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
    if (task >= n_tasks_) return;
    function_(context_, task, worker);
  }
}

void ThreadPool::run_erased(int64_t n_tasks, TaskFunction function, void* context) {
  if (n_tasks <= 0) return;
  if (n_threads_ == 1 || n_tasks == 1) {
    for (int64_t task = 0; task < n_tasks; ++task) function(context, task, 0);
    return;
  }
  function_ = function;
  context_ = context;
  n_tasks_ = n_tasks;
  next_task_.store(0, std::memory_order_relaxed);
  const uint32_t loop = loop_of(state_.load(std::memory_order_relaxed)) + kLoop;
  state_.store(loop | kOpen, std::memory_order_release);
  state_.notify_all();
  work(0);
  uint32_t state = state_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
  for (int i = 0; (state & kInside) != 0; ++i) {
    if (i < spins_) {
      cpu_relax();
    } else {
      state_.wait(state, std::memory_order_acquire);
    }
    state = state_.load(std::memory_order_acquire);
  }
}

void ThreadPool::worker_loop(int worker) {
  uint32_t done = 0;  // the loop this worker last took part in
  for (;;) {
    uint32_t state = state_.load(std::memory_order_acquire);
    for (int i = 0; i < spins_ && loop_of(state) == done; ++i) {
      cpu_relax();
      state = state_.load(std::memory_order_acquire);
    }
    if (loop_of(state) == done) {
      state_.wait(state, std::memory_order_acquire);
      continue;
    }
    if (stop_.load(std::memory_order_relaxed)) return;
    if ((state & kOpen) == 0) {  // too late for this one
      done = loop_of(state);
      continue;
    }
    if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) continue;
    done = loop_of(state);
    work(worker);
    const uint32_t left = state_.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if ((left & (kOpen | kInside)) == 0) state_.notify_all();
  }
}

}  // namespace tidal
