// For tests: another back end's operations on weights decoded to float32 once, so that what is left
// of an error is not the rounding of quantized products. Takes four bytes a weight.
#pragma once

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/backend.h"
#include "tensor/panels.h"

namespace tidal::test {

class FloatWeightsBackend : public Backend {
 public:
  explicit FloatWeightsBackend(Backend& inner) : inner_(inner) {}

  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    std::vector<Linear> decoded(linears.begin(), linears.end());
    for (Linear& linear : decoded) linear.weight = &floats(*linear.weight);
    inner_.matmul(x, n_rows, decoded);
  }

  std::string_view name() const override { return inner_.name(); }
  int threads() const override { return inner_.threads(); }
  WeightLayout weight_layout() const override { return WeightLayout::kRows; }
  Buffer allocate(size_t bytes) override { return inner_.allocate(bytes); }
  void reserve(const BackendLimits& limits) override { inner_.reserve(limits); }
  void embed(const Weight& table, std::span<const int32_t> ids, float* out) override {
    inner_.embed(table, ids, out);
  }
  void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
                float* out) override {
    inner_.rms_norm(x, gain, n_rows, width, epsilon, out);
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

 private:
  struct Decoded {
    Buffer memory;
    Weight weight;
  };

  const Weight& floats(const Weight& weight) {
    Decoded& decoded = decoded_[weight.data];
    if (decoded.weight.empty()) {
      Weight rows = {DType::kF32, weight.rows, weight.cols, nullptr};
      decoded.memory = Buffer(rows.bytes());
      decode_row(weight.dtype, weight.data, decoded.memory.as<float>(), weight.rows * weight.cols);
      rows.data = decoded.memory.data();
      decoded.weight = rows;
      if (inner_.weight_layout() == WeightLayout::kPanels) {
        decoded.weight.layout = WeightLayout::kPanels;
        Buffer panels(decoded.weight.stored_bytes());
        rows_to_panels(rows, 0, rows.n_panels(), panels.data());
        decoded.weight.data = panels.data();
        decoded.memory = std::move(panels);
      }
    }
    return decoded.weight;
  }

  Backend& inner_;
  std::map<const std::byte*, Decoded> decoded_;
};

}  // namespace tidal::test
