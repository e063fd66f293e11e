// Causal attention of a prompt chunk: compute-bound. Measured on one Zen 5 core (AVX-512): 512
// queries from position 3,584 run at 150 to 178 GFLOP/s, from 0 at 140; AVX2 at 80.
//
// Never holds more than a tile of 64 keys by 64 columns of scores. Keys are processed in segments
// of kSegmentKeys from position 0; a segment's partial results are merged into the running ones in
// order of position, whether one thread processes all segments or several share them.
#pragma once

#include "base/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/attention/attention_scratch.h"

namespace tidal::cpu {

inline constexpr int kPrefillKeys = 64;     // keys converted to float at a time
inline constexpr int kPrefillColumns = 64;  // (query, head) pairs of a panel
inline constexpr int64_t kSegmentKeys = 1024;

// An item of kind kChunk.
void attend_prefill(ThreadPool& pool, AttentionScratch& scratch, const AttendItem& item);

void reserve_prefill(AttentionScratch& scratch, const BackendLimits& limits, int n_threads);

}  // namespace tidal::cpu
