#include "bench/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "base/parallel.h"
#include "tensor/buffer.h"

namespace tidal {
namespace {

constexpr size_t kBytes = size_t{1} << 30;
constexpr size_t kTaskBytes = size_t{1} << 20;
constexpr int kPasses = 5;

// Four chains of additions keep enough loads in flight to be bound by memory, not latency.
uint64_t sum_words(const uint64_t* words, size_t n) {
  uint64_t sums[4] = {};
  for (size_t i = 0; i + 32 <= n; i += 32) {
    for (size_t j = 0; j < 32; j += 4) {
      for (size_t k = 0; k < 4; ++k) sums[k] += words[i + j + k];
    }
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

}  // namespace

double measure_read_bandwidth(int threads) {
  ThreadPool pool(threads);
  const Buffer buffer(kBytes);
  const auto n_tasks = static_cast<int64_t>(kBytes / kTaskBytes);
  pool.run(n_tasks, [&](int64_t task, int) {
    std::memset(buffer.data() + static_cast<size_t>(task) * kTaskBytes, static_cast<int>(task) | 1,
                kTaskBytes);
  });
  std::atomic<uint64_t> total{0};  // so that the reads are not optimised away
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.run(n_tasks, [&](int64_t task, int) {
      const uint64_t* words = buffer.as<uint64_t>() + static_cast<size_t>(task) * kTaskBytes / 8;
      total.fetch_add(sum_words(words, kTaskBytes / 8), std::memory_order_relaxed);
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(kBytes) / seconds.count());
  }
  return total.load() == 0 ? 0 : best;
}

}  // namespace tidal
