#include "ops/cpu/attention/attend_prefill.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cpu/attention/rows_read.h"
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/attend_prefill.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "ops/cpu/attention/kv_rows-inl.h"
#include "ops/cpu/exp-inl.h"

#ifndef TIDAL_OPS_CPU_ATTEND_PREFILL_ONCE
#define TIDAL_OPS_CPU_ATTEND_PREFILL_ONCE
namespace tidal::cpu {

// Some consecutive queries with the query heads of one KV head. Column c of the tile is query
// first_query + c / group, head c % group of the group; columns lie in panels of kPrefillColumns.
struct PrefillTile {
  const AttendItem* item = nullptr;
  int32_t kv_head = 0;
  int32_t first_query = 0;
  int32_t n_queries = 0;

  int32_t group() const { return item->n_heads / item->kv.n_kv_heads; }
  int32_t n_columns() const { return n_queries * group(); }
  int32_t n_panels() const { return (n_columns() + kPrefillColumns - 1) / kPrefillColumns; }
  int64_t position(int32_t column) const {
    return item->first_position + first_query + std::min(column, n_columns() - 1) / group();
  }
  int64_t n_keys() const { return position(n_columns() - 1) + 1; }
};

// Per panel: [head_dim + 2, kPrefillColumns], the sums of V, then maxima, then totals.
inline int64_t panel_floats(int32_t head_dim) { return (head_dim + 2) * kPrefillColumns; }

}  // namespace tidal::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

constexpr int kPanelVectors = kPrefillColumns / kLanes;
constexpr int kWide = kManyRegisters ? 4 : 2;  // vectors of a register tile

// c[i, :] (+)= sum over k of a(i, k) * b[k, :], for rows i of a register tile and kVectors vectors.
template <int kRows, int kVectors, bool kAdd>
HWY_INLINE void multiply_tile(const float* a, int64_t a_row, int64_t a_k, const float* b, int n_k,
                              float* c) {
  const FloatTag d;
  FloatVec sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = kAdd ? hn::LoadU(d, c + i * kPrefillColumns + v * kLanes) : hn::Zero(d);
    }
  }
  for (int k = 0; k < n_k; ++k) {
    FloatVec bv[kVectors];
    for (int v = 0; v < kVectors; ++v) bv[v] = hn::LoadU(d, b + k * kPrefillColumns + v * kLanes);
    for (int i = 0; i < kRows; ++i) {
      const FloatVec av = hn::Set(d, a[i * a_row + k * a_k]);
      for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(av, bv[v], sum[i][v]);
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[i][v], d, c + i * kPrefillColumns + v * kLanes);
    }
  }
}

// The same for n_rows (a multiple of 8) rows and the first n_vectors vectors of a panel.
template <bool kAdd>
HWY_INLINE void multiply_panel(const float* a, int64_t a_row, int64_t a_k, const float* b, int n_k,
                               float* c, int n_rows, int n_vectors) {
  int v = 0;
  for (; v + kWide <= n_vectors; v += kWide) {
    for (int i = 0; i < n_rows; i += 4) {
      multiply_tile<4, kWide, kAdd>(a + i * a_row, a_row, a_k, b + v * kLanes, n_k,
                                    c + i * kPrefillColumns + v * kLanes);
    }
  }
  for (; v < n_vectors; ++v) {
    for (int i = 0; i < n_rows; i += 8) {
      multiply_tile<8, 1, kAdd>(a + i * a_row, a_row, a_k, b + v * kLanes, n_k,
                                c + i * kPrefillColumns + v * kLanes);
    }
  }
}

// Online softmax of one block: scores [kPrefillKeys, kPrefillColumns] become exponentials.
HWY_INLINE void soften_panel(float* scores, int n_keys, int n_vectors, int head_dim, float* panel) {
  const FloatTag d;
  const FloatVec none = hn::Set(d, -std::numeric_limits<float>::infinity());
  float* maxima = panel + head_dim * kPrefillColumns;
  float* totals = maxima + kPrefillColumns;
  for (int v = 0; v < n_vectors; ++v) {
    float* column = scores + v * kLanes;
    const FloatVec before = hn::LoadU(d, maxima + v * kLanes);
    FloatVec top = before;
    for (int k = 0; k < n_keys; ++k) {
      top = hn::Max(top, hn::LoadU(d, column + k * kPrefillColumns));
    }
    hn::StoreU(top, d, maxima + v * kLanes);
    const FloatVec shift = hn::IfThenZeroElse(hn::Eq(top, none), top);
    const FloatVec keep = fast_exp(d, hn::Sub(before, shift));
    FloatVec total = hn::Mul(hn::LoadU(d, totals + v * kLanes), keep);
    for (int k = 0; k < n_keys; ++k) {
      const FloatVec e = fast_exp(d, hn::Sub(hn::LoadU(d, column + k * kPrefillColumns), shift));
      hn::StoreU(e, d, column + k * kPrefillColumns);
      total = hn::Add(total, e);
    }
    hn::StoreU(total, d, totals + v * kLanes);
    if (hn::AllTrue(d, hn::Eq(before, top))) continue;
    for (int j = 0; j < head_dim; ++j) {
      float* sum = panel + j * kPrefillColumns + v * kLanes;
      hn::StoreU(hn::Mul(hn::LoadU(d, sum), keep), d, sum);
    }
  }
}

// Scores of keys after a column's query become -infinity.
HWY_INLINE void mask_panel(const PrefillTile& tile, int32_t first_column, int64_t first_key,
                           int n_keys, float* scores) {
  for (int c = 0; c < kPrefillColumns; ++c) {
    const int64_t n_seen = tile.position(first_column + c) + 1 - first_key;
    for (int k = static_cast<int>(std::clamp<int64_t>(n_seen, 0, n_keys)); k < n_keys; ++k) {
      scores[k * kPrefillColumns + c] = -std::numeric_limits<float>::infinity();
    }
  }
}

// rows: [kPrefillKeys, head_dim] floats of one KV head, zero from n_keys on.
HWY_INLINE void load_rows(const KvView& kv, const KvPlane& plane, int32_t kv_head,
                          int64_t first_key, int n_keys, float* rows) {
  with_row_type(plane.dtype, [&](auto type) HWY_ATTR {
    using T = std::remove_cvref_t<decltype(*type)>;
    const size_t offset = static_cast<size_t>(kv_head) * packed_bytes<T>(kv.head_dim);
    for (int k = 0; k < n_keys; ++k) {
      const T* row = reinterpret_cast<const T*>(kv.row(plane, first_key + k) + offset);
      float* out = rows + k * kv.head_dim;
      for (int j = 0; j < kv.head_dim; j += 8) {
        if (kLanes == 16 && j + 16 <= kv.head_dim) {
          hn::StoreU(load_floats(FloatTag(), row, j), FloatTag(), out + j);
          j += 8;
          continue;
        }
        const Float8 d8;
        for (int i = 0; i < 8; i += static_cast<int>(hn::Lanes(d8))) {
          hn::StoreU(load_floats(d8, row, j + i), d8, out + j + i);
        }
      }
    }
  });
  std::fill(rows + n_keys * kv.head_dim, rows + kPrefillKeys * kv.head_dim, 0.0f);
}

// Attention of a tile over keys [begin, end) of one segment. partial: [n_panels] panels.
// memory: Q of all panels [n_panels, head_dim, kPrefillColumns], K, V, scores. Returns rows read.
int64_t attend_segment(const PrefillTile& tile, int64_t begin, int64_t end, float* partial,
                       float* memory) {
  const AttendItem& item = *tile.item;
  const int head_dim = item.kv.head_dim;
  const int group = tile.group();
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  float* q = memory;
  float* k = q + int64_t{tile.n_panels()} * head_dim * kPrefillColumns;
  float* v = k + kPrefillKeys * head_dim;
  float* scores = v + kPrefillKeys * head_dim;
  for (int32_t c = 0; c < tile.n_panels() * kPrefillColumns; ++c) {
    const int32_t real = std::min(c, tile.n_columns() - 1);
    const int64_t row = int64_t{tile.first_query + real / group} * item.n_heads +
                        tile.kv_head * group + real % group;
    float* out = q + int64_t{c / kPrefillColumns} * head_dim * kPrefillColumns;
    for (int j = 0; j < head_dim; ++j) {
      out[j * kPrefillColumns + c % kPrefillColumns] = scale * item.q[row * head_dim + j];
    }
  }
  for (int p = 0; p < tile.n_panels(); ++p) {
    float* panel = partial + p * panel_floats(head_dim);
    std::fill_n(panel, panel_floats(head_dim), 0.0f);
    std::fill_n(panel + head_dim * kPrefillColumns, kPrefillColumns,
                -std::numeric_limits<float>::infinity());
  }
  for (int64_t key = begin; key < end; key += kPrefillKeys) {
    const int n_keys = static_cast<int>(std::min<int64_t>(kPrefillKeys, end - key));
    load_rows(item.kv, item.kv.k, tile.kv_head, key, n_keys, k);
    load_rows(item.kv, item.kv.v, tile.kv_head, key, n_keys, v);
    for (int p = 0; p < tile.n_panels(); ++p) {
      const int32_t first_column = p * kPrefillColumns;
      float* panel = partial + p * panel_floats(head_dim);
      const int n_vectors =
          std::min(kPanelVectors, (tile.n_columns() - first_column + kLanes - 1) / kLanes);
      multiply_panel<false>(k, head_dim, 1, q + int64_t{first_column} * head_dim, head_dim, scores,
                            kPrefillKeys, n_vectors);
      if (key + n_keys - 1 > tile.position(first_column)) {
        mask_panel(tile, first_column, key, n_keys, scores);
      }
      soften_panel(scores, n_keys, n_vectors, head_dim, panel);
      multiply_panel<true>(v, 1, head_dim, scores, n_keys, panel, head_dim, n_vectors);
    }
  }
  return end - begin;
}

// state += partial, both [n_panels] panels.
void merge_segment(const PrefillTile& tile, const float* partial, float* state) {
  const FloatTag d;
  const FloatVec none = hn::Set(d, -std::numeric_limits<float>::infinity());
  const int head_dim = tile.item->kv.head_dim;
  for (int p = 0; p < tile.n_panels(); ++p) {
    for (int c = 0; c < kPrefillColumns; c += kLanes) {
      const float* from = partial + p * panel_floats(head_dim) + c;
      float* to = state + p * panel_floats(head_dim) + c;
      const int maximum = head_dim * kPrefillColumns;
      const FloatVec a = hn::LoadU(d, to + maximum);
      const FloatVec b = hn::LoadU(d, from + maximum);
      const FloatVec top = hn::Max(a, b);
      const FloatVec shift = hn::IfThenZeroElse(hn::Eq(top, none), top);
      const FloatVec wa = fast_exp(d, hn::Sub(a, shift));
      const FloatVec wb = fast_exp(d, hn::Sub(b, shift));
      hn::StoreU(top, d, to + maximum);
      for (int j = 0; j < head_dim + 2; ++j) {
        if (j == head_dim) continue;
        float* sum = to + j * kPrefillColumns;
        const FloatVec part = hn::Mul(wb, hn::LoadU(d, from + j * kPrefillColumns));
        hn::StoreU(hn::MulAdd(wa, hn::LoadU(d, sum), part), d, sum);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(attend_segment);
HWY_EXPORT(merge_segment);

namespace {

constexpr int32_t kTileColumns = 2 * kPrefillColumns;  // converting K and V costs 3 % of the rest
constexpr int64_t kTasksPerThread = 4;

int32_t queries_per_tile(int32_t group) { return std::max(1, kTileColumns / group); }

int32_t max_panels(int32_t group) {
  return (queries_per_tile(group) * group + kPrefillColumns - 1) / kPrefillColumns;
}

void clear_state(const PrefillTile& tile, float* state) {
  const int32_t head_dim = tile.item->kv.head_dim;
  for (int32_t p = 0; p < tile.n_panels(); ++p, state += panel_floats(head_dim)) {
    std::fill_n(state, panel_floats(head_dim), 0.0f);
    std::fill_n(state + head_dim * kPrefillColumns, kPrefillColumns,
                -std::numeric_limits<float>::infinity());
  }
}

void write_results(const PrefillTile& tile, const float* state) {
  const AttendItem& item = *tile.item;
  const int32_t head_dim = item.kv.head_dim;
  for (int32_t c = 0; c < tile.n_columns(); ++c) {
    const float* column =
        state + c / kPrefillColumns * panel_floats(head_dim) + c % kPrefillColumns;
    const float maximum = column[head_dim * kPrefillColumns];
    const float total = column[(head_dim + 1) * kPrefillColumns];
    const int64_t row = int64_t{tile.first_query + c / tile.group()} * item.n_heads +
                        tile.kv_head * tile.group() + c % tile.group();
    for (int32_t j = 0; j < head_dim; ++j) {
      item.out[row * head_dim + j] = column[j * kPrefillColumns] / total;
    }
    if (item.log_sum_exp != nullptr) item.log_sum_exp[row] = maximum + std::log(total);
  }
}

PrefillTile tile_of(const AttendItem& item, int64_t index) {
  const int32_t step = queries_per_tile(item.n_heads / item.kv.n_kv_heads);
  const int32_t n_tiles = (item.n_queries + step - 1) / step;
  // The last tiles see the most keys: they go first, so that the threads finish together.
  PrefillTile tile{
      .item = &item,
      .kv_head = static_cast<int32_t>(index % item.kv.n_kv_heads),
      .first_query = (n_tiles - 1 - static_cast<int32_t>(index / item.kv.n_kv_heads)) * step};
  tile.n_queries = std::min(step, item.n_queries - tile.first_query);
  return tile;
}

int64_t segment_end(const PrefillTile& tile, int64_t begin) {
  return std::min(begin + kSegmentKeys, tile.n_keys());
}

int64_t worker_floats_for(int32_t group, int32_t head_dim) {
  const int64_t panels = max_panels(group);
  return panels * head_dim * kPrefillColumns + int64_t{2} * kPrefillKeys * head_dim +
         kPrefillKeys * kPrefillColumns + 2 * panels * panel_floats(head_dim);
}

}  // namespace

void reserve_prefill(AttentionScratch& scratch, const BackendLimits& limits, int n_threads) {
  const int32_t group = limits.n_heads / limits.n_kv_heads;
  scratch.get<float>(Area::kWorker, n_threads * worker_floats_for(group, limits.head_dim));
  // With fewer tiles than wanted tasks: their states, and at most twice as many partial results.
  scratch.get<float>(Area::kPartials, 3 * kTasksPerThread * n_threads * max_panels(group) *
                                          panel_floats(limits.head_dim));
}

void attend_prefill(ThreadPool& pool, AttentionScratch& scratch, const AttendItem& item) {
  const int32_t group = item.n_heads / item.kv.n_kv_heads;
  const int32_t head_dim = item.kv.head_dim;
  const int32_t step = queries_per_tile(group);
  const int64_t n_tiles = int64_t{(item.n_queries + step - 1) / step} * item.kv.n_kv_heads;
  const int64_t worker_floats = worker_floats_for(group, head_dim);
  const int64_t state_floats = max_panels(group) * panel_floats(head_dim);
  float* workers = scratch.get<float>(Area::kWorker, pool.size() * worker_floats);
  const int64_t wanted = kTasksPerThread * pool.size();
  const auto run_segment = [&](const PrefillTile& tile, int64_t begin, float* partial,
                               float* memory) {
    if (begin >= tile.n_keys()) return;
    const int64_t n_read = HWY_DYNAMIC_DISPATCH(attend_segment)(
        tile, begin, segment_end(tile, begin), partial, memory);
    add_rows(item.rows, {.k = n_read, .v = n_read});
  };
  const auto merge = [&](const PrefillTile& tile, int64_t begin, const float* partial,
                         float* state) {
    if (begin < tile.n_keys()) HWY_DYNAMIC_DISPATCH(merge_segment)(tile, partial, state);
  };
  const int64_t n_keys = item.first_position + item.n_queries;

  if (pool.size() == 1 || n_tiles >= wanted || n_keys <= kSegmentKeys) {
    pool.run(n_tiles, [&](int64_t i, int worker) {
      const PrefillTile tile = tile_of(item, i);
      float* memory = workers + worker * worker_floats;
      float* state = memory + worker_floats - 2 * state_floats;
      float* partial = state + state_floats;
      clear_state(tile, state);
      for (int64_t begin = 0; begin < tile.n_keys(); begin += kSegmentKeys) {
        run_segment(tile, begin, partial, memory);
        merge(tile, begin, partial, state);
      }
      write_results(tile, state);
    });
    return;
  }
  // Few tiles: the threads share each tile's segments, a limited number at a time to bound the
  // memory.
  const int64_t per_round = (wanted + n_tiles - 1) / n_tiles;
  float* states = scratch.get<float>(Area::kPartials, n_tiles * (per_round + 1) * state_floats);
  float* partials = states + n_tiles * state_floats;
  pool.run(n_tiles,
           [&](int64_t i, int) { clear_state(tile_of(item, i), states + i * state_floats); });
  for (int64_t first = 0; first < n_keys; first += per_round * kSegmentKeys) {
    pool.run(n_tiles * per_round, [&](int64_t i, int worker) {
      run_segment(tile_of(item, i % n_tiles), first + i / n_tiles * kSegmentKeys,
                  partials + i * state_floats, workers + worker * worker_floats);
    });
    pool.run(n_tiles, [&](int64_t i, int) {
      for (int64_t s = 0; s < per_round; ++s) {
        merge(tile_of(item, i), first + s * kSegmentKeys,
              partials + (s * n_tiles + i) * state_floats, states + i * state_floats);
      }
    });
  }
  pool.run(n_tiles,
           [&](int64_t i, int) { write_results(tile_of(item, i), states + i * state_floats); });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
