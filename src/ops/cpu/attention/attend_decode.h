// Attention of a step: of one query over all rows or a selection, or of several queries over all
// rows. Bound by memory bandwidth, or by multiply-adds if 512-bit ones take two cycles or several
// queries share the rows.
//
// Measured on two Zen 4 threads that read 35 GB/s (AVX-512; share of that by the bytes of K and V,
// 100,000 rows, f16): all rows, 86 % for 32/8 heads of 128, 90 % for 9/3 heads of 64. 1,024
// scattered rows inside a step: 52 % with one list, 27 % with a list per KV head, 23 % with one per
// query head, much of it the search for shared rows. Prefetching in work order instead of address
// order costs a third. q8_0 takes as long as f16 there, namely the time of its multiply-adds.
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
