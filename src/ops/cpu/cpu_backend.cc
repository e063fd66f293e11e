#include "ops/cpu/cpu_backend.h"

#include "base/parallel.h"
#include "ops/cpu/attention/attention_kernels.h"
#include "ops/cpu/attention/attention_scratch.h"
#include "ops/cpu/matmul/matmul_kernels.h"
#include "ops/cpu/pointwise/pointwise_kernels.h"
#include "ops/cpu/target.h"
#include "tensor/panels.h"

namespace tidal {
namespace {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int n_threads) : target_(cpu::choose_target()), pool_(n_threads) {}

  std::string_view name() const override { return "cpu"; }
  int threads() const override { return pool_.size(); }
  WeightLayout weight_layout() const override { return WeightLayout::kPanels; }

  void prepare(const Weight& weight, std::byte* to) override {
    copy_weight(weight, weight_layout(), pool_, to);
  }
  void reserve(const BackendLimits& limits) override {
    matmul_.reserve(limits.max_rows, limits.max_features, pool_.size());
    attention_.reserve(limits, pool_.size());
  }

  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override {
    cpu::embed(pool_, table, ids, out);
  }
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override {
    cpu::rms_norm(pool_, x, gain, n_rows, width, epsilon, out);
  }
  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    cpu::matmul(pool_, matmul_, target_, x, n_rows, linears);
  }
  void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
            RopePairing pairing) override {
    cpu::rope(pool_, x, n_rows, n_heads, head_dim, cos_sin, pairing);
  }
  void swiglu(float* gate, const float* up, int64_t n) override { cpu::swiglu(pool_, gate, up, n); }

  void append(std::span<const AppendItem> items) override { cpu::append(pool_, items); }
  void attend(std::span<const AttendItem> items) override { cpu::attend(pool_, attention_, items); }
  void score(std::span<const ScoreItem> items) override { cpu::score(pool_, attention_, items); }
  void top_k(std::span<const TopKItem> items) override { cpu::top_k(pool_, attention_, items); }
  void update_page_bounds(std::span<const PageBoundsItem> items) override {
    cpu::update_page_bounds(pool_, attention_, items);
  }
  void score_pages(std::span<const ScorePagesItem> items) override {
    cpu::score_pages(pool_, attention_, items);
  }
  void update_block_sums(std::span<const BlockSumsItem> items) override {
    cpu::update_block_sums(pool_, attention_, items);
  }
  void attend_rest(std::span<const AttendRestItem> items) override {
    cpu::attend_rest(pool_, items);
  }

 private:
  const cpu::Target target_;
  ThreadPool pool_;
  cpu::MatmulScratch matmul_;
  cpu::AttentionScratch attention_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int n_threads) {
  return std::make_unique<CpuBackend>(n_threads);
}

std::string_view cpu_target_name() { return cpu::target_name(cpu::choose_target()); }

}  // namespace tidal
