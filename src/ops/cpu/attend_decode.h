// Attention of single queries, over all rows or a selection: bound by memory bandwidth.
//
// Measured on one Zen 5 core that reads 40 GB/s (AVX-512, f16 rows; K and V bytes, share):
// all of 32,768 rows 31 GB/s, 76 %, for 32/8 heads of 128; 24 GB/s, 60 %, for 9/3 heads of 64.
// 1,024 of 100,000 rows scattered, one list: 22 GB/s, 53 %; 25 GB/s, 63 %. With a list for every
// query head, 512 rows each: 8 to 11 GB/s, much of it the search for shared rows.
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
