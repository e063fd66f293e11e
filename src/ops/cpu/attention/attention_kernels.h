// The attention operations of the CPU back end; their contracts are in ops/backend.h.
//
// Work is cut by position into chunks of fixed size and parts are merged in position order, so a
// result depends only on its item. A row of K or V is loaded and converted once for all query heads
// that share it. Kernels are chosen for the processor at run time (Highway).
#pragma once

#include <span>

#include "base/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/attention/attention_scratch.h"

namespace tidal::cpu {

void append(ThreadPool& pool, std::span<const AppendItem> items);
void attend(ThreadPool& pool, AttentionScratch& scratch, std::span<const AttendItem> items);
void score(ThreadPool& pool, AttentionScratch& scratch, std::span<const ScoreItem> items);
void top_k(ThreadPool& pool, AttentionScratch& scratch, std::span<const TopKItem> items);
void update_page_bounds(ThreadPool& pool, AttentionScratch& scratch,
                        std::span<const PageBoundsItem> items);
void score_pages(ThreadPool& pool, AttentionScratch& scratch,
                 std::span<const ScorePagesItem> items);
void update_block_sums(ThreadPool& pool, AttentionScratch& scratch,
                       std::span<const BlockSumsItem> items);
void attend_rest(ThreadPool& pool, std::span<const AttendRestItem> items);

}  // namespace tidal::cpu
