// Attention of a step: of one query over all rows or a selection, or of some over all. Bound by
// memory bandwidth, or by multiply-adds where 512-bit ones take two cycles or several queries share
// the rows.
//
// Measured on two Zen 4 threads that read 35 GB/s (AVX-512; share of that by the bytes of K and V,
// 100,000 rows, f16): all rows, 86 % for 32/8 heads of 128, 90 % for 9/3 heads of 64. 1,024
// scattered rows inside a step: 52 % with one list, 27 % with a list per KV head, 23 % with one per
// query head, much of it the search for shared rows. A third is lost when what comes next is asked
// for in the order of the work instead of its address. q8_0 takes the time of f16 there, which is
// that of its multiply-adds.
#pragma once

#include <span>

#include "base/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/attention/attention_scratch.h"

namespace tidal::cpu {

// Items of kind kStep.
void attend_decode(ThreadPool& pool, AttentionScratch& scratch,
                   std::span<const AttendItem* const> items);

void reserve_decode(AttentionScratch& scratch, const BackendLimits& limits, int n_threads);

}  // namespace tidal::cpu
