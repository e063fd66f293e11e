#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "base/fail.h"
#include "base/parallel.h"
#include "model/model.h"
#include "model/shapes.h"
#include "tensor/panels.h"

namespace tidal {
namespace {

// A row is a window of whole blocks into an encoded sample that is longer by this many elements:
// valid blocks, cheap to fill, and rarely equal to another row.
constexpr int64_t kExtraElements = int64_t{1} << 17;

uint64_t mix(uint64_t x) {  // SplitMix64's finisher
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class RandomFiller {
 public:
  RandomFiller(const std::string& shape, uint64_t seed, std::vector<Buffer>* owned)
      : shape_(shape), seed_(seed), owned_(owned), pool_(thread_count(0)) {}

  // Rows of variance `gain`² / cols, which preserve unit variance of activations. The layout
  // changes the order of the bytes, not the values.
  Weight matrix(WeightLayout layout, DType dtype, int64_t rows, int64_t cols, double gain = 1.0) {
    const DTypeInfo& info = dtype_info(dtype);
    if (cols % info.block_size != 0) {
      fail(ErrorCode::kInvalidArgument,
           "shape {} has rows of {} weights, not a multiple of {}'s block of {}: choose another "
           "type",
           shape_, cols, info.name, info.block_size);
    }
    const size_t row_bytes = dtype_row_bytes(dtype, cols);
    const size_t block_bytes = static_cast<size_t>(info.block_bytes);
    const std::vector<std::byte>& sample = encoded_sample(dtype, cols, gain);
    const auto n_starts = static_cast<uint64_t>(kExtraElements / info.block_size);
    Weight weight{dtype, rows, cols, nullptr, layout};
    Buffer& buffer = owned_->emplace_back(weight.stored_bytes());
    std::byte* const data = buffer.data();
    weight.data = data;
    const uint64_t salt = mix(seed_ + ++n_matrices_);
    pool_.run(weight.n_panels(), [&](int64_t panel, int) {
      const int64_t n = std::min<int64_t>(kPanelRows, rows - panel * kPanelRows);
      std::vector<std::byte> panel_rows(static_cast<size_t>(n) * row_bytes);
      for (int64_t r = 0; r < n; ++r) {
        const uint64_t start = mix(salt + static_cast<uint64_t>(panel * kPanelRows + r)) % n_starts;
        std::memcpy(&panel_rows[static_cast<size_t>(r) * row_bytes], &sample[start * block_bytes],
                    row_bytes);
      }
      std::byte* const out = data + static_cast<size_t>(panel * kPanelRows) * row_bytes;
      if (layout == WeightLayout::kPanels) {
        rows_to_panels({dtype, n, cols, panel_rows.data()}, 0, 1, out);
      } else {
        std::copy(panel_rows.begin(), panel_rows.end(), out);
      }
    });
    return weight;
  }

  Weight in_panels(const Weight& rows) {
    Weight weight = rows;
    weight.layout = WeightLayout::kPanels;
    Buffer& buffer = owned_->emplace_back(weight.stored_bytes());
    weight.data = buffer.data();
    pool_.run(rows.n_panels(), [&](int64_t panel, int) {
      const size_t offset = static_cast<size_t>(panel * kPanelRows) * rows.row_bytes();
      rows_to_panels(rows, panel, 1, buffer.data() + offset);
    });
    return weight;
  }

  std::span<const float> ones(int64_t n) {
    Buffer& buffer = owned_->emplace_back(static_cast<size_t>(n) * sizeof(float));
    std::fill_n(buffer.as<float>(), n, 1.0f);
    return buffer.span<float>();
  }

 private:
  // Matrices of the same type and width share a sample; each uses other windows of it.
  const std::vector<std::byte>& encoded_sample(DType dtype, int64_t cols, double gain) {
    std::vector<std::byte>& encoded = samples_[{dtype, cols, gain}];
    if (!encoded.empty()) return encoded;
    const int64_t n = cols + kExtraElements;
    std::mt19937_64 engine(mix(seed_ + samples_.size()));
    std::normal_distribution<float> normal(
        0.0f, static_cast<float>(gain / std::sqrt(static_cast<double>(cols))));
    std::vector<float> values(static_cast<size_t>(n));
    for (float& value : values) value = normal(engine);
    encoded.resize(dtype_row_bytes(dtype, n));
    encode_row(dtype, values.data(), encoded.data(), n);
    return encoded;
  }

  const std::string& shape_;
  const uint64_t seed_;
  std::vector<Buffer>* owned_;
  uint64_t n_matrices_ = 0;
  ThreadPool pool_;
  std::map<std::tuple<DType, int64_t, double>, std::vector<std::byte>> samples_;
};

// Quantized files keep the output matrix, on which every logit depends, in a finer type.
DType output_type(DType dtype, int64_t cols) {
  const DTypeInfo& info = dtype_info(dtype);
  const DType fine = cols % dtype_info(DType::kQ6_K).block_size == 0 ? DType::kQ6_K : DType::kQ8_0;
  const DTypeInfo& fine_info = dtype_info(fine);
  const bool coarser =
      info.block_bytes * fine_info.block_size < fine_info.block_bytes * info.block_size;
  return coarser ? fine : dtype;
}

}  // namespace

std::shared_ptr<const Model> Model::random(const std::string& shape, DType dtype, uint64_t seed,
                                           WeightLayout layout) {
  std::shared_ptr<Model> model(new Model);
  model->path_ = shape;
  model->config_ = shape_config(shape);
  model->layout_ = layout;
  const Config& c = model->config_;
  validate(c, shape);
  RandomFiller fill(shape, seed, &model->converted_);
  ModelWeights& weights = model->weights_;
  const DType output = output_type(dtype, c.d_model);
  // An embedding of unit variance; when tied, it is also the output matrix and its logits are wide.
  const double embedding_gain = std::sqrt(static_cast<double>(c.d_model));
  constexpr WeightLayout kRows = WeightLayout::kRows;
  if (c.tied_output) {
    weights.embedding = fill.matrix(kRows, output, c.vocab_size, c.d_model);
    weights.output = layout == kRows ? weights.embedding : fill.in_panels(weights.embedding);
  } else {
    weights.embedding = fill.matrix(kRows, dtype, c.vocab_size, c.d_model, embedding_gain);
    weights.output = fill.matrix(layout, output, c.vocab_size, c.d_model);
  }
  weights.output_norm = fill.ones(c.d_model);
  for (const LayerConfig& config : c.layers) {
    LayerWeights& layer = weights.layers.emplace_back();
    for_each_matrix(layer, [&](MatrixRole role, Weight& matrix) {
      const auto [rows, cols] = matrix_shape(c, config, role);
      matrix = fill.matrix(layout, dtype, rows, cols);
    });
    layer.attention_norm = fill.ones(c.d_model);
    layer.ffn_norm = fill.ones(c.d_model);
    if (config.attention.qk_norm) {
      layer.q_norm = fill.ones(config.attention.head_dim);
      layer.k_norm = fill.ones(config.attention.head_dim);
    }
  }
  model->count_weights();
  return model;
}

}  // namespace tidal
