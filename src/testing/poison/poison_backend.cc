#include "testing/poison/poison_backend.h"

#include <utility>

#include "base/check.h"
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
    check(to, weight.bytes());
    const Opening opening(memory_);
    inner().prepare(weight, to);
  }
  void fetch(const MirroredBuffer& results, size_t bytes) override { results.pull(bytes); }

  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override {
    check(table.data, table.bytes());
    check_floats(out, std::ssize(ids) * table.cols);
    const Opening opening(memory_);
    inner().embed(table, ids, out);
  }
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override {
    check_floats(x, n_rows * width);
    check_floats(gain, width);
    check_floats(out, n_rows * width);
    const Opening opening(memory_);
    inner().rms_norm(x, gain, n_rows, width, epsilon, out);
  }
  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    for (const Linear& linear : linears) {
      const Weight& weight = *linear.weight;
      check_floats(x, n_rows * weight.cols);
      check(weight.data, weight.stored_bytes());
      if (linear.bias != nullptr) check_floats(linear.bias, weight.rows);
      check_floats(linear.out, n_rows * weight.rows);
    }
    const Opening opening(memory_);
    inner().matmul(x, n_rows, linears);
  }
  void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
            RopePairing pairing) override {
    check_floats(x, n_rows * n_heads * head_dim);
    check_floats(cos_sin, n_rows * head_dim);
    const Opening opening(memory_);
    inner().rope(x, n_rows, n_heads, head_dim, cos_sin, pairing);
  }
  void swiglu(float* gate, const float* up, int64_t n) override {
    check_floats(gate, n);
    check_floats(up, n);
    const Opening opening(memory_);
    inner().swiglu(gate, up, n);
  }
  void append(std::span<const AppendItem> items) override {
    run(items, [&] { inner().append(items); });
  }
  void attend(std::span<const AttendItem> items) override {
    run(items, [&] { inner().attend(items); });
  }
  void score(std::span<const ScoreItem> items) override {
    run(items, [&] { inner().score(items); });
  }
  void top_k(std::span<const TopKItem> items) override {
    run(items, [&] { inner().top_k(items); });
  }
  void update_page_bounds(std::span<const PageBoundsItem> items) override {
    run(items, [&] { inner().update_page_bounds(items); });
  }
  void score_pages(std::span<const ScorePagesItem> items) override {
    run(items, [&] { inner().score_pages(items); });
  }
  void update_block_sums(std::span<const BlockSumsItem> items) override {
    run(items, [&] { inner().update_block_sums(items); });
  }
  void attend_rest(std::span<const AttendRestItem> items) override {
    run(items, [&] { inner().attend_rest(items); });
  }

 private:
  using Opening = PoisonMemory::Opening;

  void check(const void* data, size_t bytes) const {
    TIDAL_CHECK(memory_.holds(data, bytes), "an operand of {} bytes is not the back end's", bytes);
  }
  void check_floats(const float* data, int64_t n) const {
    check(data, static_cast<size_t>(n) * sizeof(float));
  }

  struct Checking {
    const PoisonBackend& backend;

    template <typename T>
    void operator()(T* data, int64_t n, Access /*access*/) const {
      backend.check(data, static_cast<size_t>(n) * sizeof(T));
    }
    void operator()(const Selection* selection, Access access) const {
      Selection copy = *selection;
      for_each_operand(copy, access, *this);
    }
  };

  template <typename Item, typename Call>
  void run(std::span<const Item> items, const Call& call) {
    for (Item item : items) for_each_operand(item, Checking{*this});
    const Opening opening(memory_);
    call();
  }

  std::unique_ptr<Backend> owned_;
  PoisonMemory& memory_ = poison_memory();
};

}  // namespace

std::unique_ptr<Backend> make_poison_backend(int n_threads) {
  return std::make_unique<PoisonBackend>(make_cpu_backend(n_threads));
}

}  // namespace tidal::test
