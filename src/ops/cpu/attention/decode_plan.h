// How the attention of single queries is cut into tasks.
//
// The rows a query reads are cut into chunks of kChunkRows, in the order of the list they stand in;
// a task is one chunk for some of the KV heads. Where the query heads of a KV head read different
// lists, their union is walked once and a bit per head and row says who reads it. The plan lives in
// the scratch and is valid until the next call.
#pragma once

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
  Walk* walks = nullptr;  // [n_kv_heads], or one that all share
  bool shared = true;
  int32_t heads_per_task = 0;  // KV heads
  int32_t tasks_per_chunk = 0;
  int64_t n_chunks = 0;  // of the longest walk
  int64_t first_task = 0;
  int64_t first_partial = 0;   // floats into the area of partial results
  int64_t partial_stride = 0;  // floats from one chunk to the next

  const Walk& walk(int32_t kv_head) const { return walks[shared ? 0 : kv_head]; }
};

struct DecodeCall {
  std::span<DecodePlan> plans;
  int64_t n_tasks = 0;
  int64_t partial_floats = 0;
  int32_t max_heads = 0;
};

inline int padded_rows(int n) { return (n + kPageRows - 1) / kPageRows * kPageRows; }

// One chunk of rows for some of the KV heads.
struct ChunkTask {
  const AttendItem* item = nullptr;
  const Walk* walk = nullptr;
  int64_t begin = 0;  // in the walk
  int n_rows = 0;
  int32_t first_kv_head = 0;
  int32_t end_kv_head = 0;
  float* partial = nullptr;          // as partial_floats() says
  float* scores = nullptr;           // [n_heads, kChunkRows]
  const std::byte** rows = nullptr;  // [3 kChunkRows] K, V, K of the next chunk

  int n_padded() const { return padded_rows(n_rows); }
};

// Memory of a worker for ChunkTask::scores and rows.
inline int64_t chunk_bytes(int32_t n_heads) {
  return kChunkRows * static_cast<int64_t>(n_heads * sizeof(float) + 3 * sizeof(std::byte*));
}
inline void set_memory(ChunkTask& task, std::byte* memory) {
  task.rows = reinterpret_cast<const std::byte**>(memory);
  task.scores = reinterpret_cast<float*>(memory + 3 * kChunkRows * sizeof(std::byte*));
}

// Partial results of a chunk: [n_heads, head_dim] sums of V, [n_heads] maxima, [n_heads] totals.
inline int64_t partial_floats(int32_t n_heads, int32_t head_dim) {
  return (int64_t{n_heads} * (head_dim + 2) + 15) / 16 * 16;
}

// Rows that the item reads at most, per KV head.
int64_t rows_to_walk(const AttendItem& item);

// Items with n_queries == 1 only. Builds the unions with the pool.
DecodeCall plan_decode(ThreadPool& pool, AttentionScratch& scratch,
                       std::span<const AttendItem* const> items);

}  // namespace tidal::cpu
