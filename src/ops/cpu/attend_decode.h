// Attention of single queries, over all rows or a selection: bound by memory bandwidth.
//
// Measured on two Zen 5 threads that read 43 to 50 GB/s (AVX-512; share of that by the bytes of K
// and V, 100,000 rows): f16, all rows, 72 % for 32/8 heads of 128, 90 % for 9/3 heads of 64; q8_0
// 66 % for 32/8 heads, where making floats of the codes weighs. 1,024 scattered rows: 62 % with one
// list, 47 % with a list per KV head, 25 % with one per query head, much of it the search for
// shared rows. Rows of one of 8 KV heads lie 2 KB apart: loads alone, four rows at a time and
// without a lookahead, reach 60 % of what loads in the order of addresses do.
#pragma once

#include <span>

#include "base/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/attention_scratch.h"

namespace tidal::cpu {

// Items with n_queries == 1 only.
void attend_decode(ThreadPool& pool, AttentionScratch& scratch,
                   std::span<const AttendItem* const> items);

void reserve_decode(AttentionScratch& scratch, const BackendLimits& limits, int n_threads);

}  // namespace tidal::cpu
