#include "testing/poison/poison_backend.h"

#include <deque>
#include <utility>
#include <vector>

#include "ops/cpu/cpu_backend.h"
#include "ops/forwarding_backend.h"
#include "testing/poison/operands.h"
#include "testing/poison/poison_memory.h"

namespace tidal::test {
namespace {

class PoisonBackend final : public ForwardingBackend {
 public:
  explicit PoisonBackend(std::unique_ptr<Backend> inner)
      : ForwardingBackend(*inner), owned_(std::move(inner)) {}

  std::string_view name() const override { return "poison"; }
  Memory& memory() override { return memory_; }
  void prepare(const Weight& weight, std::byte* to) override {
    inner().prepare(weight, memory_.alias(to, weight.bytes()));
  }

  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override {
    inner().embed(here(table), ids, here(out, std::ssize(ids) * table.cols));
  }
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override {
    inner().rms_norm(here(x, n_rows * width), here(gain, width), n_rows, width, epsilon,
                     here(out, n_rows * width));
  }
  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    std::deque<Weight> weights;
    std::vector<Linear> moved(linears.begin(), linears.end());
    for (Linear& linear : moved) {
      const Weight& weight = weights.emplace_back(here(*linear.weight));
      linear.weight = &weight;
      if (linear.bias != nullptr) linear.bias = here(linear.bias, weight.rows);
      linear.out = here(linear.out, n_rows * weight.rows);
    }
    inner().matmul(here(x, n_rows * linears[0].weight->cols), n_rows, moved);
  }
  void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
            RopePairing pairing) override {
    inner().rope(here(x, n_rows * n_heads * head_dim), n_rows, n_heads, head_dim,
                 here(cos_sin, n_rows * head_dim), pairing);
  }
  void swiglu(float* gate, const float* up, int64_t n) override {
    inner().swiglu(here(gate, n), here(up, n), n);
  }
  void append(std::span<const AppendItem> items) override {
    run(items, [&](auto moved) { inner().append(moved); });
  }
  void attend(std::span<const AttendItem> items) override {
    run(items, [&](auto moved) { inner().attend(moved); });
  }
  void score(std::span<const ScoreItem> items) override {
    run(items, [&](auto moved) { inner().score(moved); });
  }
  void top_k(std::span<const TopKItem> items) override {
    run(items, [&](auto moved) { inner().top_k(moved); });
  }
  void update_page_bounds(std::span<const PageBoundsItem> items) override {
    run(items, [&](auto moved) { inner().update_page_bounds(moved); });
  }
  void score_pages(std::span<const ScorePagesItem> items) override {
    run(items, [&](auto moved) { inner().score_pages(moved); });
  }
  void update_block_sums(std::span<const BlockSumsItem> items) override {
    run(items, [&](auto moved) { inner().update_block_sums(moved); });
  }
  void attend_rest(std::span<const AttendRestItem> items) override {
    run(items, [&](auto moved) { inner().attend_rest(moved); });
  }

 private:
  template <typename T>
  T* here(T* data, int64_t n) const {
    return memory_.alias(data, static_cast<size_t>(n) * sizeof(T));
  }
  Weight here(Weight weight) const {
    weight.data = memory_.alias(weight.data, weight.stored_bytes());
    return weight;
  }

  template <typename Item, typename Call>
  void run(std::span<const Item> items, const Call& call) {
    with_operands_at(
        items, [&](auto* data, int64_t n) { return here(data, n); }, call);
  }

  std::unique_ptr<Backend> owned_;
  PoisonMemory& memory_ = poison_memory();
};

}  // namespace

std::unique_ptr<Backend> make_poison_backend(int n_threads) {
  return std::make_unique<PoisonBackend>(make_cpu_backend(n_threads));
}

}  // namespace tidal::test
