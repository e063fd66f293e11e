// What the tests of every back end share: the fixture that runs a test on each of them, random
// inputs and comparisons. Vectors are exactly as long as an operation needs, so AddressSanitizer
// detects any access beyond. attention_test_util.h adds caches and selections.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ops/backend.h"
#include "ops/factory/backend_factory.h"
#include "ops/staging_test_util.h"
#include "tensor/panels.h"
#include "testing/poison/poison_backend.h"

namespace tidal::test {

inline constexpr int kThreadCounts[] = {1, 2, 3, 5};

// Memory aligned as Backend::allocate() aligns it.
template <typename T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  AlignedAllocator() = default;
  template <typename U>
  explicit AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kAlignment)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kAlignment); }
  bool operator==(const AlignedAllocator&) const { return true; }
};
using Floats = std::vector<float, AlignedAllocator<float>>;

class BackendTest : public testing::TestWithParam<std::string> {
 protected:
  // One thread is fastest for many small calls; some tests ask for more.
  static std::unique_ptr<Backend> make(const BackendLimits& limits, int n_threads = 1) {
    std::unique_ptr<Backend> backend = make_backend(GetParam(), n_threads);
    backend->reserve(limits);
    if (backend->memory().host_addressable()) return backend;
    return std::make_unique<StagingBackend>(std::move(backend));
  }
};

#define TIDAL_FOR_EVERY_BACKEND(suite)                                                   \
  INSTANTIATE_TEST_SUITE_P(Backends, suite, testing::ValuesIn(::tidal::backend_names()), \
                           [](const auto& backend) { return backend.param; })

inline Floats random_normal(size_t n, uint32_t seed, float deviation = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  Floats values(n);
  for (float& value : values) value = normal(generator);
  return values;
}

// A weight in rows converted to the other layout, in a buffer of exact size.
inline Weight in_panels(const Weight& rows, std::vector<std::byte>* bytes) {
  Weight panels = rows;
  panels.layout = WeightLayout::kPanels;
  bytes->resize(panels.stored_bytes());
  rows_to_panels(rows, 0, rows.n_panels(), bytes->data());
  panels.data = bytes->data();
  return panels;
}

// Index of the first element whose bits differ, or -1.
inline int64_t first_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return static_cast<int64_t>(std::min(a.size(), b.size()));
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return static_cast<int64_t>(i);
  }
  return -1;
}

#define EXPECT_SAME_BITS(a, b) EXPECT_EQ(::tidal::test::first_difference(a, b), -1)
#define ASSERT_SAME_BITS(a, b) ASSERT_EQ(::tidal::test::first_difference(a, b), -1)

// The largest |actual - expected|, relative to the root mean square of the expected values.
inline double relative_error(std::span<const float> actual, std::span<const double> expected) {
  double largest = 0.0, squares = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(double{actual[i]} - expected[i]);
    if (!(error <= largest)) largest = error;  // a NaN stays
    squares += expected[i] * expected[i];
  }
  return largest / std::sqrt(squares / static_cast<double>(expected.size()) + 1e-30);
}

}  // namespace tidal::test
