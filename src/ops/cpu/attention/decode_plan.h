// How the attention of a step is cut into tasks.
//
// The rows a query reads are cut into chunks of kChunkRows, in list order; a task is one chunk for
// some of the KV heads. If the query heads of a KV head read different lists, their union is walked
// once and a bit per head and row says who reads it. The plan lives in the scratch and is valid
// until the next call.
//
// To a KV head, several queries of an item look like more query heads: column c of a KV head is
// head c % group of query c / group. Chunk boundaries are those of a single query, and in the last
// chunks each column ends at the row of its query: what is added up, and in which order, is the
// same as for a query alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "base/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/attention/attention_scratch.h"

namespace tidal::cpu {

inline constexpr int64_t kChunkRows = 256;

inline int64_t chunk_count(int64_t n_rows) { return (n_rows + kChunkRows - 1) / kChunkRows; }

// The rows that one KV head, or all of them, read.
struct Walk {
  const int32_t* positions = nullptr;  // [n] ascending; null: 0..n-1
  int64_t n = 0;
  uint16_t* members = nullptr;  // null: all; else [group, member_stride], a bit per row
  int64_t member_stride = 0;
};

struct DecodePlan {
  const AttendItem* item = nullptr;
  float* placed_q = nullptr;  // of several queries: [n_kv_heads, columns, head_dim]
  Walk* walks = nullptr;      // [n_kv_heads], or one shared by all
  bool shared = true;
  int32_t heads_per_task = 0;  // KV heads
  int32_t tasks_per_chunk = 0;
  int64_t n_chunks = 0;  // of the longest walk
  int64_t first_task = 0;
  int64_t first_partial = 0;   // floats into the area of partial results
  int64_t partial_stride = 0;  // floats from one chunk to the next

  const float* q() const { return placed_q != nullptr ? placed_q : item->q; }
  const Walk& walk(int32_t kv_head) const { return walks[shared ? 0 : kv_head]; }
};

struct DecodeCall {
  std::span<DecodePlan> plans;
  int64_t n_tasks = 0;
  int64_t partial_floats = 0;
  int32_t max_columns = 0;  // of all KV heads together
};

inline int padded_rows(int n) { return (n + kPageRows - 1) / kPageRows * kPageRows; }

// Query heads of an item that share a KV head, counting all queries, and those of all KV heads.
inline int32_t columns_of(const AttendItem& item) {
  return item.n_queries * (item.n_heads / item.kv.n_kv_heads);
}
inline int32_t all_columns_of(const AttendItem& item) { return item.n_queries * item.n_heads; }

// One chunk of rows for some of the KV heads.
struct ChunkTask {
  const AttendItem* item = nullptr;
  const float* q = nullptr;  // [n_kv_heads, columns, head_dim]
  const Walk* walk = nullptr;
  int64_t begin = 0;  // in the walk
  int n_rows = 0;
  int32_t first_kv_head = 0;
  int32_t end_kv_head = 0;
  float* partial = nullptr;          // sized by partial_floats()
  float* scores = nullptr;           // [n_kv_heads, columns, kChunkRows]
  const std::byte** rows = nullptr;  // [3 kChunkRows] K, V, K of the next chunk

  int n_padded() const { return padded_rows(n_rows); }
  int32_t columns() const { return columns_of(*item); }
  // Rows of the chunk up to a query's position.
  int rows_seen(int32_t query) const {
    if (item->n_queries == 1) return n_rows;
    const int64_t seen = item->first_position + query + 1 - begin;
    return static_cast<int>(std::clamp<int64_t>(seen, 0, n_rows));
  }
};

// A worker's memory for ChunkTask::scores and rows.
inline int64_t chunk_bytes(int64_t all_columns) {
  return kChunkRows * (all_columns * int64_t{sizeof(float)} + 3 * int64_t{sizeof(std::byte*)});
}
inline void set_memory(ChunkTask& task, std::byte* memory) {
  task.rows = reinterpret_cast<const std::byte**>(memory);
  task.scores = reinterpret_cast<float*>(memory + 3 * kChunkRows * sizeof(std::byte*));
}

// Partial results of a chunk, n columns of all KV heads: [n, head_dim] sums of V, [n] maxima, [n]
// totals.
inline int64_t partial_floats(int64_t all_columns, int32_t head_dim) {
  return (all_columns * (head_dim + 2) + 15) / 16 * 16;
}

// The most rows the item reads, per KV head.
int64_t rows_to_walk(const AttendItem& item);

// Items of kind kStep. Uses the pool to build the unions and to put queries side by side.
DecodeCall plan_decode(ThreadPool& pool, AttentionScratch& scratch,
                       std::span<const AttendItem* const> items);

}  // namespace tidal::cpu
