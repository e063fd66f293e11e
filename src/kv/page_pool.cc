#include "kv/page_pool.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/checked.h"
#include "base/fail.h"

namespace tidal {
namespace {

void check_cache_type(DType type, int32_t head_dim, const char* plane) {
  if (type != DType::kF16 && type != DType::kBF16 && type != DType::kF32 && type != DType::kQ8_0) {
    fail(ErrorCode::kUnsupported,
         "a {} cache of type {} is not supported, use f16, bf16, f32 or q8_0", plane,
         dtype_name(type));
  }
  const int block = dtype_info(type).block_size;
  if (head_dim % block != 0) {
    fail(ErrorCode::kUnsupported,
         "a {} cache of type {} needs heads of a multiple of {} elements, this model's have {}, "
         "use f16",
         plane, dtype_name(type), block, head_dim);
  }
}

}  // namespace

PagePool::PagePool(const KvLayout& layout, int64_t n_pages, Memory& memory)
    : layout_(layout), n_pages_(n_pages) {
  check_cache_type(layout.k_dtype, layout.head_dim, "K");
  check_cache_type(layout.v_dtype, layout.head_dim, "V");
  TIDAL_CHECK(layout.n_layers > 0 && layout.n_kv_heads > 0 && layout.head_dim > 0);
  TIDAL_CHECK(n_pages >= 0);
  const int64_t row_elements = int64_t{layout.n_kv_heads} * layout.head_dim;
  k_page_bytes_ = kPageRows * dtype_row_bytes(layout.k_dtype, row_elements);
  v_page_bytes_ = kPageRows * dtype_row_bytes(layout.v_dtype, row_elements);
  size_t bytes = 0;
  if (n_pages > std::numeric_limits<int32_t>::max() ||
      !checked_mul(k_page_bytes_ + v_page_bytes_, static_cast<size_t>(n_pages), &bytes) ||
      !checked_mul(bytes, static_cast<size_t>(layout.n_layers), &bytes)) {
    fail_option(
        "context_size", ErrorCode::kExhausted,
        "a KV cache of {} pages of {} rows exceeds this machine's memory; lower `context_size`",
        n_pages, kPageRows);
  }
  memory_ = Buffer(bytes, memory);
  references_.assign(static_cast<size_t>(n_pages), 0);
  free_.reserve(static_cast<size_t>(n_pages));
  // Handed out from the back: a lone sequence gets ascending, adjacent pages.
  for (int64_t page = n_pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

size_t PagePool::bytes_per_token() const {
  return static_cast<size_t>(layout_.n_layers) * (k_page_bytes_ + v_page_bytes_) / kPageRows;
}

int32_t PagePool::acquire() {
  if (free_.empty()) return -1;
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::share(int32_t page) {
  int32_t& references = references_.at(static_cast<size_t>(page));
  TIDAL_CHECK(references > 0, "page {} is free", page);
  ++references;
  ++changes_;
}

void PagePool::release(int32_t page) {
  int32_t& references = references_.at(static_cast<size_t>(page));
  TIDAL_CHECK(references > 0, "page {} is free", page);
  ++changes_;
  if (--references > 0) return;
  free_.push_back(page);
  for (const auto& summaries : summaries_) summaries->drop(page);
}

bool PagePool::is_shared(int32_t page) const {
  return references_.at(static_cast<size_t>(page)) > 1;
}

void PagePool::copy_rows(int32_t from, int32_t to, int64_t n_rows) {
  TIDAL_CHECK(n_rows >= 0 && n_rows <= kPageRows);
  const auto copy = [&](const KvPlane& plane) {
    memory().copy(plane.base + static_cast<size_t>(to) * plane.page_bytes,
                  plane.base + static_cast<size_t>(from) * plane.page_bytes,
                  static_cast<size_t>(n_rows) * plane.row_bytes);
  };
  for (int32_t layer = 0; layer < layout_.n_layers; ++layer) {
    const KvView view = layer_view(layer);
    copy(view.k);
    copy(view.v);
  }
  for (const auto& summaries : summaries_) summaries->copy(from, to, n_rows);
}

void PagePool::rewrite_rows(int32_t page, int64_t n_rows) {
  for (const auto& summaries : summaries_) summaries->cut(page, n_rows);
}

std::shared_ptr<PageSummaries> PagePool::summaries(const SummarySpec& spec) {
  const auto found = std::find_if(summaries_.begin(), summaries_.end(),
                                  [&](const auto& kept) { return kept->spec() == spec; });
  if (found != summaries_.end()) {
    std::rotate(found, found + 1, summaries_.end());
    return summaries_.back();
  }
  const auto is_idle = [](const auto& kept) { return kept.use_count() == 1; };
  auto idle = std::count_if(summaries_.begin(), summaries_.end(), is_idle);
  std::erase_if(summaries_, [&](const auto& kept) {
    return is_idle(kept) && idle-- > static_cast<int64_t>(kIdleSummaries);
  });
  summaries_.push_back(std::make_shared<PageSummaries>(
      spec, layout_.n_layers, int64_t{layout_.n_kv_heads} * layout_.head_dim, n_pages_, memory()));
  return summaries_.back();
}

KvView PagePool::layer_view(int32_t layer) const {
  TIDAL_CHECK(layer >= 0 && layer < layout_.n_layers);
  const size_t k_bytes = static_cast<size_t>(n_pages_) * k_page_bytes_;
  const size_t v_bytes = static_cast<size_t>(n_pages_) * v_page_bytes_;
  std::byte* base = memory_.data() + static_cast<size_t>(layer) * (k_bytes + v_bytes);
  KvView view;
  view.k = {layout_.k_dtype, base, k_page_bytes_, k_page_bytes_ / kPageRows};
  view.v = {layout_.v_dtype, base + k_bytes, v_page_bytes_, v_page_bytes_ / kPageRows};
  view.n_kv_heads = layout_.n_kv_heads;
  view.head_dim = layout_.head_dim;
  return view;
}

}  // namespace tidal
