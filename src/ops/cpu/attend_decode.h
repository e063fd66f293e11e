// Attention of single queries, over all rows or a selection: bound by memory bandwidth.
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
