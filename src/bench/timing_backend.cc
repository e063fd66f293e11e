#include "bench/timing_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tidal {
namespace {

constexpr std::string_view kOtherMatmul = "matvec other";

// What one call multiplies with, by the role of its first matrix.
std::string_view role_name(MatrixRole role) {
  switch (role) {
    case MatrixRole::kQ:
    case MatrixRole::kK:
    case MatrixRole::kV:
      return "qkv";
    case MatrixRole::kO:
      return "output";
    case MatrixRole::kGate:
    case MatrixRole::kUp:
      return "gate+up";
    case MatrixRole::kDown:
      return "down";
    case MatrixRole::kOutput:
      return "logits";
  }
  return "other";
}

// "matvec qkv Q4_K+Q6_K [1536, 576]"
std::string describe(MatrixRole role, std::span<const Linear> linears) {
  std::string types;
  int64_t rows = 0;
  for (const Linear& linear : linears) {
    rows += linear.weight->rows;
    const std::string_view type = dtype_name(linear.weight->dtype);
    if (types.find(type) != std::string::npos) continue;
    types += types.empty() ? "" : "+";
    types += type;
  }
  return fmt::format("matvec {} {} [{}, {}]", role_name(role), types, rows,
                     linears[0].weight->cols);
}

struct ScopeNames {
  std::string_view all, kv_head, query_head;
};
constexpr ScopeNames kPicks = {"attend own picks, scope all", "attend own picks, scope kv",
                               "attend own picks, scope q"};
constexpr ScopeNames kSparse = {"attend sparse, scope all", "attend sparse, scope kv",
                                "attend sparse, scope q"};
constexpr ScopeNames kTopK = {"top-k, scope all", "top-k, scope kv", "top-k, scope q"};

std::string_view by_scope(const ScopeNames& names, int32_t n_lists, int32_t n_kv_heads) {
  if (n_lists == 1) return names.all;
  return n_lists == n_kv_heads ? names.kv_head : names.query_head;
}

std::string_view attend_name(const AttendItem& item, bool picked) {
  if (item.kind == AttendKind::kStep && item.n_queries > 1) return "attend full, several queries";
  if (item.selection == nullptr) {
    return item.scores == nullptr ? "attend full" : "attend full, scores kept";
  }
  return by_scope(picked ? kPicks : kSparse, item.selection->n_lists, item.kv.n_kv_heads);
}

double row_bytes(const KvPlane& plane, const KvView& kv) {
  return static_cast<double>(plane.row_bytes) / kv.n_kv_heads;
}

// Cache bytes that the counters of these items have seen. Items: AttendItem, ScoreItem
template <typename Item>
double cache_bytes(Memory& memory, std::span<const Item> items) {
  double bytes = 0;
  for (const Item& item : items) {
    if (item.rows == nullptr) continue;
    RowsRead rows;
    memory.copy_out(&rows, item.rows, sizeof(rows));
    bytes += static_cast<double>(rows.k) * row_bytes(item.kv.k, item.kv) +
             static_cast<double>(rows.v) * row_bytes(item.kv.v, item.kv);
  }
  return bytes;
}

}  // namespace

TimingBackend::TimingBackend(Backend& inner, const ModelWeights& weights)
    : ForwardingBackend(inner) {
  for_each_matrix(weights, [&](MatrixRole role, const Weight& matrix) {
    matmuls_.emplace(matrix.data, Matmul{role, {}});
  });
}

std::string_view TimingBackend::matmul_name(std::span<const Linear> linears) {
  const auto found = matmuls_.find(linears[0].weight->data);
  if (found == matmuls_.end()) return kOtherMatmul;
  Matmul& matmul = found->second;
  if (matmul.name.empty()) {
    std::string name = describe(matmul.role, linears);
    const auto known = std::find(names_.begin(), names_.end(), name);
    matmul.name = known != names_.end() ? *known : names_.emplace_back(std::move(name));
  }
  return matmul.name;
}

OperationTime& TimingBackend::entry(std::string_view name) {
  // Names are unique objects: comparing addresses is enough.
  for (OperationTime& time : times_) {
    if (time.name.data() == name.data()) return time;
  }
  return times_.emplace_back(OperationTime{.name = name});
}

template <typename Call>
void TimingBackend::timed(std::string_view name, double bytes, const Call& call) {
  if (!on_) return call();
  const Clock::time_point start = Clock::now();
  call();
  const std::chrono::duration<double, std::milli> time = Clock::now() - start;
  OperationTime& operation = entry(name);
  ++operation.calls;
  operation.milliseconds += time.count();
  operation.bytes += bytes;
}

// The bytes are those of the rows the kernel counts while it runs.
template <typename Item, typename Call>
void TimingBackend::timed_rows(std::string_view name, std::span<const Item> items,
                               const Call& call) {
  if (!on_) return call();
  const double before = cache_bytes(memory(), items);
  timed(name, 0, call);
  entry(name).bytes += cache_bytes(memory(), items) - before;
}

void TimingBackend::embed(const Weight& table, std::span<const int32_t> ids, float* out) {
  timed("embedding", static_cast<double>(ids.size() * table.row_bytes()),
        [&] { inner().embed(table, ids, out); });
}

void TimingBackend::rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width,
                             float epsilon, float* out) {
  timed("norm", 0, [&] { inner().rms_norm(x, gain, n_rows, width, epsilon, out); });
}

void TimingBackend::matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) {
  if (!on_) return inner().matmul(x, n_rows, linears);
  double bytes = 0;
  for (const Linear& linear : linears) bytes += static_cast<double>(linear.weight->bytes());
  timed(matmul_name(linears), bytes, [&] { inner().matmul(x, n_rows, linears); });
}

void TimingBackend::rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim,
                         const float* cos_sin, RopePairing pairing) {
  timed("rope", 0, [&] { inner().rope(x, n_rows, n_heads, head_dim, cos_sin, pairing); });
}

void TimingBackend::swiglu(float* gate, const float* up, int64_t n) {
  timed("swiglu", 0, [&] { inner().swiglu(gate, up, n); });
}

void TimingBackend::append(std::span<const AppendItem> items) {
  picked_ = false;
  double bytes = 0;
  for (const AppendItem& item : items) {
    bytes += static_cast<double>(item.n_rows) *
             static_cast<double>(item.kv.k.row_bytes + item.kv.v.row_bytes);
  }
  timed("append", bytes, [&] { inner().append(items); });
}

void TimingBackend::attend(std::span<const AttendItem> items) {
  timed_rows(attend_name(items[0], picked_), items, [&] { inner().attend(items); });
}

void TimingBackend::score(std::span<const ScoreItem> items) {
  timed_rows("score", items, [&] { inner().score(items); });
}

void TimingBackend::top_k(std::span<const TopKItem> items) {
  picked_ = true;
  double bytes = 0;
  for (const TopKItem& item : items) {
    bytes += static_cast<double>(item.n_heads * item.n_candidates) * sizeof(float);
  }
  const TopKItem& item = items[0];
  timed(by_scope(kTopK, list_count(item.scope, item.n_heads, item.n_kv_heads), item.n_kv_heads),
        bytes, [&] { inner().top_k(items); });
}

void TimingBackend::update_page_bounds(std::span<const PageBoundsItem> items) {
  double bytes = 0;
  for (const PageBoundsItem& item : items) {
    const int64_t first = item.first_row / item.bounds.block_rows * item.bounds.block_rows;
    bytes += static_cast<double>(item.kv.length - first) * static_cast<double>(item.kv.k.row_bytes);
  }
  timed("page bounds", bytes, [&] { inner().update_page_bounds(items); });
}

void TimingBackend::score_pages(std::span<const ScorePagesItem> items) {
  double bytes = 0;
  for (const ScorePagesItem& item : items) {
    bytes +=
        static_cast<double>(item.n_pages * 2 * item.n_kv_heads * item.head_dim) * sizeof(float);
  }
  timed("score pages", bytes, [&] { inner().score_pages(items); });
}

void TimingBackend::update_block_sums(std::span<const BlockSumsItem> items) {
  double bytes = 0;
  for (const BlockSumsItem& item : items) {
    bytes += static_cast<double>(item.end_row - item.first_row) *
             static_cast<double>(item.kv.k.row_bytes + item.kv.v.row_bytes);
  }
  timed("block sums", bytes, [&] { inner().update_block_sums(items); });
}

void TimingBackend::attend_rest(std::span<const AttendRestItem> items) {
  double bytes = 0;
  for (const AttendRestItem& item : items) {
    const int64_t n_blocks = (item.end_row + item.sums.block_rows - 1) / item.sums.block_rows;
    bytes += static_cast<double>(n_blocks * 2 * item.n_kv_heads * item.head_dim) * sizeof(float);
  }
  timed("attend rest", bytes, [&] { inner().attend_rest(items); });
}

}  // namespace tidal
