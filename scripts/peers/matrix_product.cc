// A plain product of float matrices, as fast as the compiler makes it: the yardstick of
// scripts/bench-gate for prompts. Prints the median of several times in milliseconds.
// Usage: matrix_product THREADS
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

constexpr int kRows = 512, kInner = 1536, kCols = 1536, kTile = 64, kRuns = 9;

// c[rows, kCols] += a[rows, kInner] * b[kInner, kCols], for rows [first, last).
void multiply(const float* a, const float* b, float* c, int first, int last) {
  for (int k0 = 0; k0 < kInner; k0 += kTile) {
    for (int i = first; i < last; ++i) {
      for (int k = k0; k < k0 + kTile; ++k) {
        const float factor = a[i * kInner + k];
        const float* row = b + k * kCols;
        float* out = c + i * kCols;
        for (int j = 0; j < kCols; ++j) out[j] += factor * row[j];
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int n_threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  std::vector<float> a(kRows * kInner, 0.5F), b(kInner * kCols, 0.25F), c(kRows * kCols);
  std::vector<double> times;
  for (int run = 0; run < kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int i = 0; i < n_threads; ++i) {
      threads.emplace_back(multiply, a.data(), b.data(), c.data(), kRows * i / n_threads,
                           kRows * (i + 1) / n_threads);
    }
    for (std::thread& thread : threads) thread.join();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
  }
  std::sort(times.begin(), times.end());
  std::printf("%.3f\n", times[kRuns / 2]);
  return c[0] > 0 ? 0 : 1;
}
