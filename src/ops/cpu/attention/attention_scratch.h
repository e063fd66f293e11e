// Working memory of the attention kernels: a few named areas that grow to the largest call.
//
// reserve() sizes every area for the limits, so that no call within them allocates; a larger call
// grows an area on the spot. Memory costs nothing until touched. A pointer from get() is valid
// until the next get() of the same area. Not shared between concurrent calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ops/backend.h"
#include "tensor/buffer.h"

namespace tidal::cpu {

enum class Area : uint8_t {
  kItems,       // the step items of a call
  kPlans,       // per item: how it is cut into tasks
  kTasks,       // per task, where the plan alone does not determine it
  kWalks,       // per item and KV head: the rows it reads
  kQueries,     // of items with several, side by side for each KV head
  kUnion,       // rows read by the query heads of one KV head
  kMembers,     // which head reads which of them
  kWorker,      // per worker: one chunk's scores, or one prefill tile
  kPartials,    // attention over each chunk of rows
  kPooled,      // one score per list and candidate
  kHistograms,  // of pooled scores, per list and chunk
  kMoments,     // (maximum, sum of exponentials) of each head's scores, per chunk
  kCount,
};

class AttentionScratch {
 public:
  void reserve(const BackendLimits& limits, int n_threads);

  // At least n elements, aligned to 64 bytes, contents unspecified.
  template <typename T>
  T* get(Area area, int64_t n) {
    constexpr size_t kBytes = sizeof(T);  // NOLINT(bugprone-sizeof-expression): T may be a pointer
    return reinterpret_cast<T*>(grown(area, static_cast<size_t>(n) * kBytes));
  }

  size_t bytes() const;  // held by all areas

  // Items are processed in waves of about this many cache rows, which bounds the areas.
  int64_t wave_rows() const { return wave_rows_; }

 private:
  std::byte* grown(Area area, size_t bytes);

  std::array<Buffer, static_cast<size_t>(Area::kCount)> areas_;
  int64_t wave_rows_ = int64_t{1} << 17;
};

}  // namespace tidal::cpu
