// ForwardingBackend: a back end that forwards every operation to another, as a base for those that
// change, watch or count a few operations. The inner back end must outlive it.
#pragma once

#include "ops/backend.h"

namespace tidal {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(Backend& inner) : inner_(inner) {}

  std::string_view name() const override { return inner_.name(); }
  int threads() const override { return inner_.threads(); }
  Memory& memory() override { return inner_.memory(); }
  void reserve(const BackendLimits& limits) override { inner_.reserve(limits); }
  WeightLayout weight_layout() const override { return inner_.weight_layout(); }
  void prepare(const Weight& weight, std::byte* to) override { inner_.prepare(weight, to); }
  void begin_step(const StepShape& shape) override { inner_.begin_step(shape); }
  void fetch(const MirroredBuffer& results, size_t bytes) override { inner_.fetch(results, bytes); }

  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override {
    inner_.embed(table, ids, out);
  }
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override {
    inner_.rms_norm(x, gain, n_rows, width, epsilon, out);
  }
  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    inner_.matmul(x, n_rows, linears);
  }
  void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
            RopePairing pairing) override {
    inner_.rope(x, n_rows, n_heads, head_dim, cos_sin, pairing);
  }
  void swiglu(float* gate, const float* up, int64_t n) override { inner_.swiglu(gate, up, n); }
  void append(std::span<const AppendItem> items) override { inner_.append(items); }
  void attend(std::span<const AttendItem> items) override { inner_.attend(items); }
  void score(std::span<const ScoreItem> items) override { inner_.score(items); }
  void top_k(std::span<const TopKItem> items) override { inner_.top_k(items); }
  void update_page_bounds(std::span<const PageBoundsItem> items) override {
    inner_.update_page_bounds(items);
  }
  void score_pages(std::span<const ScorePagesItem> items) override { inner_.score_pages(items); }
  void update_block_sums(std::span<const BlockSumsItem> items) override {
    inner_.update_block_sums(items);
  }
  void attend_rest(std::span<const AttendRestItem> items) override { inner_.attend_rest(items); }

 protected:
  Backend& inner() const { return inner_; }

 private:
  Backend& inner_;
};

}  // namespace tidal
