// For tests: a back end that accepts operands in the host's memory, whatever the inner one's is.
//
// Every call copies its operands in and its results out, so the operations' test suites read and
// write plain vectors. Blocks keep their addresses modulo 64, and what overlaps on the host also
// overlaps there.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "ops/forwarding_backend.h"
#include "testing/poison/operands.h"

namespace tidal::test {

// The operands of one call: need() all of them, copy_in(), translate each by at(), call,
// copy_out().
class Staging {
 public:
  explicit Staging(Memory& memory) : memory_(memory) {}

  void need(const void* host, size_t bytes, Access access) {
    if (bytes == 0) return;
    Block block{static_cast<const std::byte*>(host),
                static_cast<const std::byte*>(host) + bytes,
                access == Access::kWrite,
                {}};
    std::erase_if(blocks_, [&](const Block& other) {
      if (other.end <= block.begin || block.end <= other.begin) return false;
      block.begin = std::min(block.begin, other.begin);
      block.end = std::max(block.end, other.end);
      block.written |= other.written;
      return true;
    });
    blocks_.push_back(std::move(block));
  }
  void copy_in() {
    for (Block& block : blocks_) {
      block.device = Buffer(block.size() + kAlignment, memory_);
      memory_.copy_in(block.place(), block.begin, block.size());
    }
  }
  template <typename T>
  T* at(T* host) const {
    const auto* byte = reinterpret_cast<const std::byte*>(host);
    for (const Block& block : blocks_) {
      if (block.begin <= byte && byte < block.end) {
        return reinterpret_cast<T*>(block.place() + (byte - block.begin));
      }
    }
    return host;  // zero elements
  }
  void copy_out() const {
    for (const Block& block : blocks_) {
      if (!block.written) continue;
      memory_.copy_out(const_cast<std::byte*>(block.begin), block.place(), block.size());
    }
  }

 private:
  static constexpr size_t kAlignment = 64;

  struct Block {
    const std::byte* begin;
    const std::byte* end;
    bool written;
    Buffer device;

    size_t size() const { return static_cast<size_t>(end - begin); }
    std::byte* place() const {
      return device.data() + reinterpret_cast<uintptr_t>(begin) % kAlignment;
    }
  };

  Memory& memory_;
  std::vector<Block> blocks_;
};

class StagingBackend final : public ForwardingBackend {
 public:
  explicit StagingBackend(std::unique_ptr<Backend> inner)
      : ForwardingBackend(*inner), owned_(std::move(inner)) {}

  Memory& memory() override { return host_memory(); }
  void prepare(const Weight& weight, std::byte* to) override {
    Weight prepared = weight;
    prepared.layout = weight_layout();
    Staging staging = stage();
    staging.need(to, prepared.stored_bytes(), Access::kWrite);
    staging.copy_in();
    inner().prepare(weight, staging.at(to));
    staging.copy_out();
  }

  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override {
    Staging staging = stage();
    staging.need(table.data, table.bytes(), Access::kRead);
    need_floats(staging, out, std::ssize(ids) * table.cols, Access::kWrite);
    staging.copy_in();
    Weight staged = table;
    staged.data = staging.at(table.data);
    inner().embed(staged, ids, staging.at(out));
    staging.copy_out();
  }
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override {
    Staging staging = stage();
    need_floats(staging, x, n_rows * width, Access::kRead);
    need_floats(staging, gain, width, Access::kRead);
    need_floats(staging, out, n_rows * width, Access::kWrite);
    staging.copy_in();
    inner().rms_norm(staging.at(x), staging.at(gain), n_rows, width, epsilon, staging.at(out));
    staging.copy_out();
  }
  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    Staging staging = stage();
    for (const Linear& linear : linears) {
      const Weight& weight = *linear.weight;
      need_floats(staging, x, n_rows * weight.cols, Access::kRead);
      staging.need(weight.data, weight.stored_bytes(), Access::kRead);
      if (linear.bias != nullptr) need_floats(staging, linear.bias, weight.rows, Access::kRead);
      need_floats(staging, linear.out, n_rows * weight.rows, Access::kWrite);
    }
    staging.copy_in();
    std::deque<Weight> weights;
    std::vector<Linear> staged(linears.begin(), linears.end());
    for (Linear& linear : staged) {
      Weight& weight = weights.emplace_back(*linear.weight);
      weight.data = staging.at(weight.data);
      linear.weight = &weight;
      linear.bias = staging.at(linear.bias);
      linear.out = staging.at(linear.out);
    }
    inner().matmul(staging.at(x), n_rows, staged);
    staging.copy_out();
  }
  void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
            RopePairing pairing) override {
    Staging staging = stage();
    need_floats(staging, x, n_rows * n_heads * head_dim, Access::kWrite);
    need_floats(staging, cos_sin, n_rows * head_dim, Access::kRead);
    staging.copy_in();
    inner().rope(staging.at(x), n_rows, n_heads, head_dim, staging.at(cos_sin), pairing);
    staging.copy_out();
  }
  void swiglu(float* gate, const float* up, int64_t n) override {
    Staging staging = stage();
    need_floats(staging, gate, n, Access::kWrite);
    need_floats(staging, up, n, Access::kRead);
    staging.copy_in();
    inner().swiglu(staging.at(gate), staging.at(up), n);
    staging.copy_out();
  }
  void append(std::span<const AppendItem> items) override {
    run(items, [&](std::span<const AppendItem> staged) { inner().append(staged); });
  }
  void attend(std::span<const AttendItem> items) override {
    run(items, [&](std::span<const AttendItem> staged) { inner().attend(staged); });
  }
  void score(std::span<const ScoreItem> items) override {
    run(items, [&](std::span<const ScoreItem> staged) { inner().score(staged); });
  }
  void top_k(std::span<const TopKItem> items) override {
    run(items, [&](std::span<const TopKItem> staged) { inner().top_k(staged); });
  }
  void update_page_bounds(std::span<const PageBoundsItem> items) override {
    run(items, [&](std::span<const PageBoundsItem> staged) { inner().update_page_bounds(staged); });
  }
  void score_pages(std::span<const ScorePagesItem> items) override {
    run(items, [&](std::span<const ScorePagesItem> staged) { inner().score_pages(staged); });
  }
  void update_block_sums(std::span<const BlockSumsItem> items) override {
    run(items, [&](std::span<const BlockSumsItem> staged) { inner().update_block_sums(staged); });
  }
  void attend_rest(std::span<const AttendRestItem> items) override {
    run(items, [&](std::span<const AttendRestItem> staged) { inner().attend_rest(staged); });
  }

 private:
  Staging stage() { return Staging(inner().memory()); }
  static void need_floats(Staging& staging, const float* host, int64_t n, Access access) {
    staging.need(host, static_cast<size_t>(n) * sizeof(float), access);
  }

  struct Needing {
    Staging& staging;

    template <typename T>
    void operator()(T* host, int64_t n, Access access) const {
      staging.need(host, static_cast<size_t>(n) * sizeof(T), access);
    }
    void operator()(const Selection* selection, Access access) const {
      Selection copy = *selection;
      for_each_operand(copy, access, *this);
    }
  };
  template <typename Item, typename Call>
  void run(std::span<const Item> items, const Call& call) {
    Staging staging = stage();
    for (Item item : items) for_each_operand(item, Needing{staging});
    staging.copy_in();
    with_operands_at(
        items, [&](auto* host, int64_t /*n*/) { return staging.at(host); }, call);
    staging.copy_out();
  }

  std::unique_ptr<Backend> owned_;
};

}  // namespace tidal::test
