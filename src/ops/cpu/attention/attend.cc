#include <algorithm>

#include "base/check.h"
#include "ops/cpu/attention/attend_decode.h"
#include "ops/cpu/attention/attend_prefill.h"
#include "ops/cpu/attention/attention_kernels.h"
#include "ops/cpu/attention/decode_plan.h"

namespace tidal::cpu {
namespace {

void check(const AttendItem& item) {
  TIDAL_CHECK(item.n_queries >= 1 && item.kv.n_kv_heads >= 1);
  TIDAL_CHECK(item.n_heads % item.kv.n_kv_heads == 0, "{} query heads share {} KV heads",
              item.n_heads, item.kv.n_kv_heads);
  TIDAL_CHECK(item.kv.head_dim > 0 && item.kv.head_dim % 8 == 0);
  TIDAL_CHECK(item.first_position + item.n_queries <= item.kv.length);
  if (item.kind == AttendKind::kStep) {
    TIDAL_CHECK(item.n_queries <= kMaxStepQueries, "a step of {} queries", item.n_queries);
  }
  const bool one = item.kind == AttendKind::kStep && item.n_queries == 1;
  TIDAL_CHECK(one || item.selection == nullptr, "a selection serves one query");
  TIDAL_CHECK(item.scores == nullptr || (one && item.selection == nullptr));
}

}  // namespace

void attend(ThreadPool& pool, AttentionScratch& scratch, std::span<const AttendItem> items) {
  const auto** decode =
      scratch.get<const AttendItem*>(Area::kItems, static_cast<int64_t>(items.size()));
  size_t n_decode = 0;
  for (const AttendItem& item : items) {
    check(item);
    if (item.kind == AttendKind::kStep) {
      decode[n_decode++] = &item;
    } else {
      attend_prefill(pool, scratch, item);
    }
  }
  for (size_t begin = 0; begin < n_decode;) {
    size_t end = begin;
    int64_t n_rows = 0;
    do {
      n_rows += rows_to_walk(*decode[end++]);
    } while (end < n_decode && n_rows + rows_to_walk(*decode[end]) <= scratch.wave_rows());
    attend_decode(pool, scratch, {decode + begin, decode + end});
    begin = end;
  }
}

}  // namespace tidal::cpu
