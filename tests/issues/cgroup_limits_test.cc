// Only the quota of the root of version 2's control groups was honoured: not a process's own group,
// not version 1; and 7.65 processors were 8. The memory limits are found in the same way.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/available_memory.h"
#include "base/cgroup.h"
#include "base/parallel.h"
#include "testing/error.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

namespace fs = std::filesystem;

class CgroupLimits : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& content) {
    const fs::path path = temp_.path() / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content << '\n';
  }
  void member_of(const std::string& lines) { put("membership", lines); }

  const TempFolder temp_;
  const CgroupPaths paths_ = {temp_.path() / "fs", temp_.path() / "membership"};
};

TEST_F(CgroupLimits, NothingThereLimitsNothing) {
  EXPECT_EQ(cgroup_cpus(paths_), std::nullopt);
  EXPECT_EQ(cgroup_free_memory(paths_), std::nullopt);
  member_of("0::/");
  put("fs/cpu.max", "max 100000");
  put("fs/memory.max", "max");
  put("fs/memory.current", "1000");
  EXPECT_EQ(cgroup_cpus(paths_), std::nullopt);
  EXPECT_EQ(cgroup_free_memory(paths_), std::nullopt);
}

TEST_F(CgroupLimits, TheRootOfVersion2) {
  member_of("0::/");
  put("fs/cpu.max", "300000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 3);
}

TEST_F(CgroupLimits, FractionsAreRoundedDownToAtLeastOne) {
  member_of("0::/");
  put("fs/cpu.max", "765000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 7);
  put("fs/cpu.max", "50000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 1);
}

TEST_F(CgroupLimits, TheOwnGroupAndThoseAbove) {
  member_of("0::/app.slice/job.scope");
  put("fs/app.slice/job.scope/cpu.max", "400000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 4);
  put("fs/app.slice/cpu.max", "200000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 2);
  put("fs/other.slice/cpu.max", "100000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 2);
}

TEST_F(CgroupLimits, APathThatCountsFromAboveWhatIsSeen) {
  member_of("0::/docker/0123/job");
  put("fs/job/cpu.max", "200000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 2);
  put("fs/cpu.max", "100000 100000");
  EXPECT_EQ(cgroup_cpus(paths_), 1);
}

TEST_F(CgroupLimits, Version1) {
  member_of("4:memory:/\n2:cpu,cpuacct:/user/job\n0::/");
  put("fs/cpu,cpuacct/user/job/cpu.cfs_quota_us", "200000");
  put("fs/cpu,cpuacct/user/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_cpus(paths_), 2);
  put("fs/cpu,cpuacct/user/job/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(cgroup_cpus(paths_), std::nullopt);
  put("fs/cpu,cpuacct/cpu.cfs_quota_us", "150000");
  put("fs/cpu,cpuacct/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_cpus(paths_), 1);
}

TEST_F(CgroupLimits, Version1WithoutAGroupOfItsOwn) {
  put("fs/cpu/cpu.cfs_quota_us", "100000");
  put("fs/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_cpus(paths_), 1);
}

TEST_F(CgroupLimits, MemoryThatIsLeftCountsPagesOfFilesAsFree) {
  member_of("0::/job");
  put("fs/job/memory.max", "10000");
  put("fs/job/memory.current", "6000");
  EXPECT_EQ(cgroup_free_memory(paths_), 4000u);
  put("fs/job/memory.stat", "anon 1000\ninactive_file 500\nactive_file 300");
  EXPECT_EQ(cgroup_free_memory(paths_), 4800u);
  put("fs/memory.max", "7000");
  put("fs/memory.current", "6500");
  EXPECT_EQ(cgroup_free_memory(paths_), 500u);
  put("fs/memory.current", "8000");
  EXPECT_EQ(cgroup_free_memory(paths_), 0u);
}

TEST_F(CgroupLimits, MemoryOfVersion1) {
  member_of("4:memory:/job");
  put("fs/memory/job/memory.limit_in_bytes", "10000");
  put("fs/memory/job/memory.usage_in_bytes", "6000");
  put("fs/memory/job/memory.stat", "inactive_file 9\ntotal_inactive_file 500");
  EXPECT_EQ(cgroup_free_memory(paths_), 4500u);
}

TEST_F(CgroupLimits, AreHeeded) {
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_LE(usable_cpus(), cgroup_cpus().value_or(usable_cpus()));
  require_memory(1 << 20, "a test", "lower it");
  expect_error(ErrorCode::kExhausted, {"a test takes", "is free: lower it"},
               [] { require_memory(uint64_t{1} << 60, "a test", "lower it"); });
}

}  // namespace
}  // namespace tidal::test
