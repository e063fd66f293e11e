#include "ops/cpu/attention/decode_plan.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace tidal::cpu {
namespace {

// Enough tasks that the threads finish together if an item has few chunks; fewer with long rows,
// which are read faster undivided.
int64_t tasks_per_thread(const KvView& kv) { return kv.k.row_bytes >= 2048 ? 2 : 4; }

enum class Sharing { kAll, kGroup, kNone };

// Whether all query heads, or those of each KV head, read the same list.
Sharing sharing_of(const AttendItem& item) {
  const Selection* selection = item.selection;
  if (selection == nullptr || selection->n_lists == 1) return Sharing::kAll;
  const int32_t group = item.n_heads / item.kv.n_kv_heads;
  Sharing sharing = Sharing::kAll;
  for (int32_t h = 0; h < item.n_heads; ++h) {
    const int32_t list = selection->list_of_head(h, item.n_heads);
    if (list != selection->list_of_head(h - h % group, item.n_heads)) return Sharing::kNone;
    if (list != selection->list_of_head(0, item.n_heads)) sharing = Sharing::kGroup;
  }
  return sharing;
}

int64_t union_capacity(const AttendItem& item, int32_t kv_head) {
  const int32_t group = item.n_heads / item.kv.n_kv_heads;
  int64_t n = 0;
  for (int32_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    n += item.selection->counts[item.selection->list_of_head(h, item.n_heads)];
  }
  return std::min(n, item.first_position + 1);
}

int64_t query_floats(const AttendItem& item) {
  return int64_t{all_columns_of(item)} * item.kv.head_dim;
}

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

constexpr int32_t kEndOfList = std::numeric_limits<int32_t>::max();

struct Cursor {
  const int32_t* at;
  const int32_t* end;
  int32_t position;  // *at, or kEndOfList

  void load() { position = at != end ? *at : kEndOfList; }
};

// Merges the lists of one KV head's query heads into the walk. cursors: [group]
void build_union(const AttendItem& item, int32_t kv_head, int64_t capacity, Cursor* cursors,
                 int32_t* positions, Walk& walk) {
  const int32_t group = item.n_heads / item.kv.n_kv_heads;
  for (int32_t g = 0; g < group; ++g) {
    const auto list =
        item.selection->list(item.selection->list_of_head(kv_head * group + g, item.n_heads));
    cursors[g] = {list.data(), list.data() + list.size(), 0};
    cursors[g].load();
  }
  std::fill_n(walk.members, group * walk.member_stride, uint16_t{0});
  for (walk.n = 0;; ++walk.n) {
    int32_t first = kEndOfList;
    for (int32_t g = 0; g < group; ++g) first = std::min(first, cursors[g].position);
    if (first == kEndOfList) break;
    TIDAL_CHECK(walk.n < capacity, "lists of a selection must ascend without repeats");
    // Who reads a row is practically random: no branch on it.
    for (int32_t g = 0; g < group; ++g) {
      const unsigned reads = cursors[g].position == first ? 1 : 0;
      uint16_t& members = walk.members[g * walk.member_stride + walk.n / kPageRows];
      members = static_cast<uint16_t>(members | reads << (walk.n % kPageRows));
      cursors[g].at += reads;
      cursors[g].load();
    }
    positions[walk.n] = first;
  }
  walk.positions = positions;
}

// Unions of all KV heads, for items whose query heads have their own lists.
void build_unions(ThreadPool& pool, AttentionScratch& scratch, std::span<DecodePlan> plans) {
  int64_t n_positions = 0;
  int64_t n_members = 0;
  int64_t n_walks = 0;
  int32_t max_group = 1;
  for (DecodePlan& plan : plans) {
    if (plan.shared || plan.walks[0].positions != nullptr) continue;
    const AttendItem& item = *plan.item;
    const int32_t group = item.n_heads / item.kv.n_kv_heads;
    max_group = std::max(max_group, group);
    n_walks += item.kv.n_kv_heads;
    for (int32_t kv = 0; kv < item.kv.n_kv_heads; ++kv) {
      Walk& walk = plan.walks[kv];
      walk.n = union_capacity(item, kv);
      walk.member_stride = round_up(walk.n, kPageRows) / kPageRows;
      n_positions += walk.n;
      n_members += group * walk.member_stride;
    }
  }
  if (n_walks == 0) return;
  struct Task {
    DecodePlan* plan;
    int32_t kv_head;
    int32_t* positions;
  };
  auto* tasks = scratch.get<Task>(Area::kTasks, n_walks);
  auto* positions = scratch.get<int32_t>(Area::kUnion, n_positions);
  auto* members = scratch.get<uint16_t>(Area::kMembers, n_members);
  auto* cursors = scratch.get<Cursor>(Area::kWorker, pool.size() * max_group);
  int64_t task = 0;
  for (DecodePlan& plan : plans) {
    if (plan.shared || plan.walks[0].positions != nullptr) continue;
    for (int32_t kv = 0; kv < plan.item->kv.n_kv_heads; ++kv) {
      Walk& walk = plan.walks[kv];
      tasks[task++] = {&plan, kv, positions};
      walk.members = members;
      positions += walk.n;
      members += plan.item->n_heads / plan.item->kv.n_kv_heads * walk.member_stride;
    }
  }
  pool.run(n_walks, [&](int64_t i, int worker) {
    const Task& t = tasks[i];
    Walk& walk = t.plan->walks[t.kv_head];
    build_union(*t.plan->item, t.kv_head, walk.n, cursors + worker * max_group, t.positions, walk);
  });
}

// Puts the queries of items with several side by side for each KV head.
void place_queries(ThreadPool& pool, AttentionScratch& scratch, std::span<DecodePlan> plans) {
  int64_t n_floats = 0;
  for (const DecodePlan& plan : plans) {
    if (plan.item->n_queries > 1) n_floats += query_floats(*plan.item);
  }
  if (n_floats == 0) return;
  float* out = scratch.get<float>(Area::kQueries, n_floats);
  for (DecodePlan& plan : plans) {
    if (plan.item->n_queries == 1) continue;
    plan.placed_q = out;
    out += query_floats(*plan.item);
  }
  pool.run(std::ssize(plans), [&](int64_t i, int) {
    const DecodePlan& plan = plans[static_cast<size_t>(i)];
    if (plan.placed_q == nullptr) return;
    const AttendItem& item = *plan.item;
    const int32_t n_kv_heads = item.kv.n_kv_heads;
    const int64_t width = int64_t{item.n_heads / n_kv_heads} * item.kv.head_dim;
    float* to = plan.placed_q;
    for (int32_t kv_head = 0; kv_head < n_kv_heads; ++kv_head) {
      for (int32_t query = 0; query < item.n_queries; ++query, to += width) {
        std::copy_n(item.q + (int64_t{query} * n_kv_heads + kv_head) * width, width, to);
      }
    }
  });
}

}  // namespace

int64_t rows_to_walk(const AttendItem& item) {
  if (item.selection == nullptr) return item.first_position + item.n_queries;
  if (sharing_of(item) == Sharing::kAll) {
    return item.selection->counts[item.selection->list_of_head(0, item.n_heads)];
  }
  int64_t n = 0;
  for (int32_t kv = 0; kv < item.kv.n_kv_heads; ++kv) n = std::max(n, union_capacity(item, kv));
  return n;
}

DecodeCall plan_decode(ThreadPool& pool, AttentionScratch& scratch,
                       std::span<const AttendItem* const> items) {
  int64_t n_walks = 0;
  for (const AttendItem* item : items) n_walks += item->kv.n_kv_heads;
  const std::span<DecodePlan> plans(
      scratch.get<DecodePlan>(Area::kPlans, static_cast<int64_t>(items.size())), items.size());
  Walk* walks = scratch.get<Walk>(Area::kWalks, n_walks);
  for (size_t i = 0; i < items.size(); ++i) {
    const AttendItem& item = *items[i];
    DecodePlan& plan = plans[i] = {.item = &item, .walks = walks};
    const Sharing sharing = sharing_of(item);
    plan.shared = sharing == Sharing::kAll;
    const int32_t group = item.n_heads / item.kv.n_kv_heads;
    for (int32_t kv = 0; kv < item.kv.n_kv_heads; ++kv) {
      *walks = {};
      if (item.selection == nullptr) {
        walks->n = item.first_position + item.n_queries;
      } else if (sharing != Sharing::kNone) {
        const auto list =
            item.selection->list(item.selection->list_of_head(kv * group, item.n_heads));
        walks->positions = list.data();
        walks->n = static_cast<int64_t>(list.size());
      }
      ++walks;
    }
  }
  build_unions(pool, scratch, plans);
  place_queries(pool, scratch, plans);

  DecodeCall call{.plans = plans};
  int64_t n_chunks = 0;
  for (DecodePlan& plan : plans) {
    const AttendItem& item = *plan.item;
    for (int32_t kv = 0; kv < item.kv.n_kv_heads; ++kv) {
      plan.n_chunks = std::max(plan.n_chunks, chunk_count(plan.walk(kv).n));
    }
    plan.partial_stride = partial_floats(all_columns_of(item), item.kv.head_dim);
    plan.first_partial = call.partial_floats;
    call.partial_floats += plan.n_chunks * plan.partial_stride;
    call.max_columns = std::max(call.max_columns, all_columns_of(item));
    n_chunks += plan.n_chunks;
  }
  // Cutting a chunk by KV heads changes no bits: no sum involves two heads.
  for (DecodePlan& plan : plans) {
    const int32_t n_kv_heads = plan.item->kv.n_kv_heads;
    const int64_t wanted = pool.size() == 1 ? 1 : pool.size() * tasks_per_thread(plan.item->kv);
    const int64_t parts =
        plan.shared ? std::clamp<int64_t>(wanted / std::max<int64_t>(n_chunks, 1), 1, n_kv_heads)
                    : n_kv_heads;
    plan.heads_per_task = static_cast<int32_t>((n_kv_heads + parts - 1) / parts);
    plan.tasks_per_chunk = (n_kv_heads + plan.heads_per_task - 1) / plan.heads_per_task;
    plan.first_task = call.n_tasks;
    call.n_tasks += plan.n_chunks * plan.tasks_per_chunk;
  }
  return call;
}

}  // namespace tidal::cpu
