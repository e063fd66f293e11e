// Include before hwy/foreach_target.h: the instruction sets the kernels are compiled for.
//
// x86-64 gets AVX2 and AVX-512 (F, BW, DQ, VL), other processors Highway's baseline (NEON on
// AArch64). Later AVX-512 extensions (VNNI, BF16) are a second instantiation of the kernels that
// profit, see ops/cpu/target.h. AVX2 is the static target so that no scalar variant is compiled.
#pragma once

// IWYU pragma: begin_exports
#if defined(__x86_64__)
#define HWY_BASELINE_TARGETS HWY_AVX2
#endif
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// IWYU pragma: end_exports
