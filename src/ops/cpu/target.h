// Which instruction set the CPU back end's kernels use, chosen at run time.
//
// Values are ordered: each x86 one includes those before it. TIDAL_FORCE_TARGET (avx2, avx512,
// avx512_vnni, avx512_bf16) caps the choice. Every integer dot product is exact and floats are
// added in the same order on all of them, so matrix products give the same bits whichever is
// chosen. For this reason they do not use the BF16 dot product, which rounds x to 8 bits (on
// SmolLM2-135M that alone moves log-probabilities by 0.02).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tidal::cpu {

enum class Target : uint8_t {
  kPortable,    // what the compiler assumes; AArch64: NEON
  kAvx2,        // with FMA and F16C
  kAvx512,      // F, BW, DQ, VL
  kAvx512Vnni,  // and VNNI (Cascade Lake, Ice Lake, Zen 4)
  kAvx512Bf16,  // and BF16 (Cooper Lake, Sapphire Rapids, Zen 4)
};

std::string_view target_name(Target target);

// What this processor can run, weakest first. Empty on an x86 processor without AVX2.
std::vector<Target> available_targets();

// The best available target within TIDAL_FORCE_TARGET. From here on, kernels dispatched by Highway
// follow it in the whole process. Throws Error(kInvalidArgument) for an unknown value of
// TIDAL_FORCE_TARGET, Error(kUnsupported) if the processor has no usable target.
Target choose_target();

}  // namespace tidal::cpu
