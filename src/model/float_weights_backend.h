// For tests: another back end's operations on weights decoded to float32 once, so that any
// remaining error does not come from rounding in quantized products. Takes four bytes per weight.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "ops/forwarding_backend.h"
#include "tensor/panels.h"

namespace tidal::test {

class FloatWeightsBackend : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) override {
    std::vector<Linear> decoded(linears.begin(), linears.end());
    for (Linear& linear : decoded) linear.weight = &floats(*linear.weight);
    inner().matmul(x, n_rows, decoded);
  }
  WeightLayout weight_layout() const override { return WeightLayout::kRows; }

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
      if (inner().weight_layout() == WeightLayout::kPanels) {
        decoded.weight.layout = WeightLayout::kPanels;
        Buffer panels(decoded.weight.stored_bytes());
        rows_to_panels(rows, 0, rows.n_panels(), panels.data());
        decoded.weight.data = panels.data();
        decoded.memory = std::move(panels);
      }
    }
    return decoded.weight;
  }

  std::map<const std::byte*, Decoded> decoded_;
};

}  // namespace tidal::test
