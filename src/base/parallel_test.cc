#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tidal/error.h"

namespace tidal::test {
namespace {

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, RunsEveryTaskOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.size(), GetParam());
  for (const int64_t n : {0, 1, 2, 3, 7, 64, 1000}) {
    std::vector<std::atomic<int>> runs(n);
    std::atomic<bool> worker_in_range = true;
    pool.run(n, [&](int64_t task, int worker) {
      runs[task].fetch_add(1);
      if (worker < 0 || worker >= pool.size()) worker_in_range = false;
    });
    for (int64_t task = 0; task < n; ++task) ASSERT_EQ(runs[task].load(), 1) << task << " of " << n;
    EXPECT_TRUE(worker_in_range);
  }
}

// What a run wrote is visible to the caller and to the next run, without atomics.
TEST_P(ThreadPoolTest, TenThousandRunsSeeEachOthersWrites) {
  ThreadPool pool(GetParam());
  constexpr int64_t kTasks = 5;
  std::vector<int64_t> a(kTasks, 0), b(kTasks, 0);
  for (int round = 1; round <= 10000; ++round) {
    pool.run(kTasks, [&](int64_t task, int) { a[task] = b[(task + 1) % kTasks] + 1; });
    for (int64_t task = 0; task < kTasks; ++task) ASSERT_EQ(a[task], round);
    std::swap(a, b);
  }
}

TEST_P(ThreadPoolTest, AWorkerIsInOneTaskAtATime) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> per_worker(GetParam(), 0);  // not atomic: a race shows as a wrong sum
  for (int round = 0; round < 200; ++round) {
    pool.run(50, [&](int64_t, int worker) { ++per_worker[worker]; });
  }
  int64_t sum = 0;
  for (const int64_t n : per_worker) sum += n;
  EXPECT_EQ(sum, 200 * 50);
}

// A worker is held up in a task until all the others are done: others must do them.
TEST_P(ThreadPoolTest, TakesOverWhatAHeldUpWorkerHasNotBegun) {
  ThreadPool pool(GetParam());
  constexpr int64_t kTasks = 100;
  for (int round = 0; round < 50; ++round) {
    std::atomic<int64_t> n_done = 0;
    std::atomic<bool> held = false;
    pool.run(kTasks, [&](int64_t, int worker) {
      if (worker == 1 && !held.exchange(true)) {
        while (n_done.load() < kTasks - 1) std::this_thread::yield();
      }
      n_done.fetch_add(1);
    });
    ASSERT_EQ(n_done.load(), kTasks);
  }
}

TEST_P(ThreadPoolTest, WorkersThatFellAsleepComeBack) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 3));
    std::atomic<int64_t> sum = 0;
    pool.run(64, [&](int64_t task, int) { sum.fetch_add(task); });
    ASSERT_EQ(sum.load(), 64 * 63 / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 8));

TEST(ThreadPoolLifetimeTest, StopsWithoutEverRunning) {
  for (int i = 0; i < 100; ++i) ThreadPool pool(4);
}

TEST(ThreadPoolLifetimeTest, TwoPoolsDoNotDisturbEachOther) {
  ThreadPool a(2), b(2);
  std::atomic<int> n = 0;
  a.run(10, [&](int64_t, int worker) {
    if (worker == 0) b.run(10, [&](int64_t, int) { ++n; });
  });
  EXPECT_EQ(n.load() % 10, 0);
}

class ThreadsVariableTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* value = std::getenv("TIDAL_THREADS")) before_ = value;
  }
  void TearDown() override {
    if (before_.empty()) {
      ::unsetenv("TIDAL_THREADS");
    } else {
      ::setenv("TIDAL_THREADS", before_.c_str(), 1);
    }
  }
  std::string before_;
};

TEST_F(ThreadsVariableTest, DefaultIsAtLeastOne) {
  ::unsetenv("TIDAL_THREADS");
  EXPECT_GE(default_threads(), 1);
}

TEST_F(ThreadsVariableTest, NoMoreThreadsThanProcessors) {
  EXPECT_EQ(thread_count(1), 1);
  EXPECT_EQ(thread_count(4096), usable_cpus());
  ::setenv("TIDAL_THREADS", "4096", 1);
  EXPECT_EQ(thread_count(0), usable_cpus());
  ::setenv("TIDAL_THREADS", "1", 1);
  EXPECT_EQ(thread_count(0), 1);
}

TEST_F(ThreadsVariableTest, IsObeyedOrRefused) {
  ::setenv("TIDAL_THREADS", "3", 1);
  EXPECT_EQ(default_threads(), 3);
  for (const char* bad : {"", "0", "-1", "two", "3x", "4097", "99999999999999999999"}) {
    ::setenv("TIDAL_THREADS", bad, 1);
    try {
      default_threads();
      ADD_FAILURE() << "accepted '" << bad << "'";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(std::string(error.what()).find("TIDAL_THREADS"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace tidal::test
