#include "ops/cpu/attention/attention_scratch.h"

#include <algorithm>

#include "ops/cpu/attention/attend_decode.h"
#include "ops/cpu/attention/attend_prefill.h"
#include "ops/cpu/attention/decode_plan.h"
#include "ops/cpu/attention/score.h"
#include "ops/cpu/attention/top_k.h"

namespace tidal::cpu {

std::byte* AttentionScratch::grown(Area area, size_t bytes) {
  Buffer& buffer = areas_[static_cast<size_t>(area)];
  if (buffer.size() < bytes) buffer = Buffer(bytes);
  return buffer.data();
}

size_t AttentionScratch::bytes() const {
  size_t n = 0;
  for (const Buffer& area : areas_) n += area.size();
  return n;
}

void AttentionScratch::reserve(const BackendLimits& limits, int n_threads) {
  wave_rows_ = std::max(wave_rows_, limits.max_context);
  reserve_decode(*this, limits, n_threads);
  reserve_prefill(*this, limits, n_threads);
  reserve_score(*this, limits);
  reserve_top_k(*this, limits, n_threads);
}

}  // namespace tidal::cpu
