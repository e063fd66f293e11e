#include "ops/reference/reference_backend.h"

#include <algorithm>

#include "ops/reference/operations.h"
#include "tensor/panels.h"

namespace tidal {
namespace reference {

void Workspace::reserve(const BackendLimits& limits) {
  const auto context = static_cast<size_t>(limits.max_context);
  row.reserve(static_cast<size_t>(std::max<int64_t>(limits.max_features, limits.head_dim)));
  sum.reserve(static_cast<size_t>(limits.head_dim));
  scores.reserve(context);
  loaded.reserve(context);
  candidates.reserve(context);
}

}  // namespace reference

namespace {

class ReferenceBackend final : public Backend {
 public:
  std::string_view name() const override { return "reference"; }
  int threads() const override { return 1; }
  WeightLayout weight_layout() const override { return WeightLayout::kRows; }
  void prepare(const Weight& weight, std::byte* to) override {
    ThreadPool pool(1);
    copy_weight(weight, weight_layout(), pool, to);
  }
  void reserve(const BackendLimits& limits) override { workspace_.reserve(limits); }

  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override {
    reference::embed(table, ids, out);
  }
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override {
    reference::rms_norm(x, gain, n_rows, width, epsilon, out);
  }
  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    for (const Linear& linear : linears) reference::multiply(x, n_rows, linear, workspace_);
  }
  void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
            RopePairing pairing) override {
    reference::rope(x, n_rows, n_heads, head_dim, cos_sin, pairing);
  }
  void swiglu(float* gate, const float* up, int64_t n) override { reference::swiglu(gate, up, n); }
  void append(std::span<const AppendItem> items) override {
    for (const AppendItem& item : items) reference::append(item);
  }
  void attend(std::span<const AttendItem> items) override {
    for (const AttendItem& item : items) reference::attend(item, workspace_);
  }
  void score(std::span<const ScoreItem> items) override {
    for (const ScoreItem& item : items) reference::score(item, workspace_);
  }
  void top_k(std::span<const TopKItem> items) override {
    for (const TopKItem& item : items) reference::top_k(item, workspace_);
  }
  void update_page_bounds(std::span<const PageBoundsItem> items) override {
    for (const PageBoundsItem& item : items) reference::update_page_bounds(item, workspace_);
  }
  void score_pages(std::span<const ScorePagesItem> items) override {
    for (const ScorePagesItem& item : items) reference::score_pages(item);
  }
  void update_block_sums(std::span<const BlockSumsItem> items) override {
    for (const BlockSumsItem& item : items) reference::update_block_sums(item, workspace_);
  }
  void attend_rest(std::span<const AttendRestItem> items) override {
    for (const AttendRestItem& item : items) reference::attend_rest(item, workspace_);
  }

 private:
  reference::Workspace workspace_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace tidal
