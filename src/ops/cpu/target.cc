#include "ops/cpu/target.h"

#include <cstdlib>

#include "base/fail.h"
#include "ops/cpu/simd_targets.h"
// After simd_targets.h.
#include <hwy/highway.h>

namespace tidal::cpu {
namespace {

constexpr Target kForceable[] = {Target::kAvx2, Target::kAvx512, Target::kAvx512Vnni,
                                 Target::kAvx512Bf16};

Target forced_target() {
  const char* text = std::getenv("TIDAL_FORCE_TARGET");
  if (text == nullptr || *text == '\0') return Target::kAvx512Bf16;
  for (const Target target : kForceable) {
    if (target_name(target) == text) return target;
  }
  fail(ErrorCode::kInvalidArgument,
       "TIDAL_FORCE_TARGET is '{}'; give avx2, avx512, avx512_vnni or avx512_bf16", text);
}

}  // namespace

std::string_view target_name(Target target) {
  switch (target) {
    case Target::kPortable:
      return HWY_ARCH_ARM ? "neon" : "portable";
    case Target::kAvx2:
      return "avx2";
    case Target::kAvx512:
      return "avx512";
    case Target::kAvx512Vnni:
      return "avx512_vnni";
    case Target::kAvx512Bf16:
      return "avx512_bf16";
  }
  return "";
}

std::vector<Target> available_targets() {
  std::vector<Target> out;
#if HWY_ARCH_X86
  hwy::DisableTargets(0);
  const int64_t supported = hwy::SupportedTargets();
  __builtin_cpu_init();
  if ((supported & HWY_AVX2) == 0) return out;
  out.push_back(Target::kAvx2);
  if ((supported & HWY_AVX3) == 0) return out;
  out.push_back(Target::kAvx512);
  if (!__builtin_cpu_supports("avx512vnni")) return out;
  out.push_back(Target::kAvx512Vnni);
  if (!__builtin_cpu_supports("avx512bf16")) return out;
  out.push_back(Target::kAvx512Bf16);
#else
  out.push_back(Target::kPortable);
#endif
  return out;
}

Target choose_target() {
  const Target limit = forced_target();
  const std::vector<Target> available = available_targets();
  if (available.empty()) {
    fail_option("backend", ErrorCode::kUnsupported,
                "the cpu back end needs a processor with AVX2; set `backend` to reference");
  }
  Target chosen = available.front();
  for (const Target target : available) {
    if (target <= limit) chosen = target;
  }
#if HWY_ARCH_X86
  hwy::DisableTargets(chosen < Target::kAvx512 ? HWY_AVX3 : 0);
  // Done here, on one thread: if left to the first kernels, one worker could see another's
  // half-made choice, before targets are disabled.
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
#endif
  return chosen;
}

}  // namespace tidal::cpu
