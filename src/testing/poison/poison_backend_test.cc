// What the poison back end is for: reaching around the seam ends the program.

#include "testing/poison/poison_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace tidal::test {
namespace {

TEST(PoisonMemory, IsZeroedAndReachedByItsOwnCallsAlone) {
  const std::unique_ptr<Backend> backend = make_poison_backend(1);
  const MirroredBuffer buffer(3 * sizeof(float), backend->memory());
  EXPECT_NE(buffer.host<float>(), buffer.device<float>());
  buffer.pull(buffer.size());
  EXPECT_EQ(buffer.host<float>()[2], 0.0f);
  buffer.host<float>()[2] = 1.5f;
  buffer.push(buffer.size());
  const Buffer same = [&] {
    Buffer copy = backend->allocate(buffer.size());
    backend->memory().copy(copy.data(), buffer.device<std::byte>(), copy.size());
    return copy;
  }();
  backend->memory().zero(buffer.device<float>(), buffer.size());
  buffer.pull(buffer.size());
  EXPECT_EQ(buffer.host<float>()[2], 0.0f);
  float got = 0.0f;
  backend->memory().copy_out(&got, same.as<float>() + 2, sizeof(got));
  EXPECT_EQ(got, 1.5f);
}

TEST(PoisonBackendDeathTest, TheHostMayNotTouchItsMemory) {
  const std::unique_ptr<Backend> backend = make_poison_backend(2);
  const Buffer gate = backend->allocate(8 * sizeof(float));
  const Buffer up = backend->allocate(8 * sizeof(float));
  EXPECT_DEATH(gate.as<volatile float>()[0] = 1.0f, "");
  backend->swiglu(gate.as<float>(), up.as<float>(), 8);
  EXPECT_DEATH(gate.as<volatile float>()[0] = 1.0f, "") << "nor after an operation";
}

TEST(PoisonBackendDeathTest, TheHostsMemoryIsNoOperand) {
  const std::unique_ptr<Backend> backend = make_poison_backend(1);
  const Buffer gate = backend->allocate(8 * sizeof(float));
  std::vector<float> up(8);
  EXPECT_DEATH(backend->swiglu(gate.as<float>(), up.data(), 8), "not the back end's");
  EXPECT_DEATH(backend->memory().copy_in(up.data(), up.data(), 4), "not the back end.s");
  EXPECT_DEATH(backend->memory().copy_in(gate.data(), gate.data(), 4), "copy in");
}

TEST(PoisonBackend, IsOneOfThoseThatSuitesRunOn) {
  const std::vector<std::string> names = backend_names();
  EXPECT_EQ(std::count(names.begin(), names.end(), "poison"), 1);
  EXPECT_EQ(make_backend("poison", 1)->name(), "poison");
}

}  // namespace
}  // namespace tidal::test
