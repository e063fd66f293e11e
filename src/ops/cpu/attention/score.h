// Scratch of score(), whose contract is in ops/cpu/attention/attention_kernels.h.
#pragma once

#include "ops/backend.h"
#include "ops/cpu/attention/attention_scratch.h"

namespace tidal::cpu {

void reserve_score(AttentionScratch& scratch, const BackendLimits& limits);

}  // namespace tidal::cpu
