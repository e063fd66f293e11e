#include "model/model.h"

#include <filesystem>
#include <utility>

#include "base/fail.h"
#include "base/json.h"
#include "model/gguf_config.h"
#include "model/hf_config.h"
#include "model/prepared_weights.h"
#include "model/weight_loader.h"

namespace tidal {
namespace {

// For norms and biases: small, but they are read too.
size_t vector_bytes(const ModelWeights& weights) {
  size_t bytes = 0;
  for_each_vector(weights,
                  [&](const std::span<const float>& vector) { bytes += vector.size_bytes(); });
  return bytes;
}

}  // namespace

std::optional<std::string> hf_folder_of(const std::string& path) {
  if (std::filesystem::is_directory(path)) return path;
  if (!path.ends_with(".safetensors") && !path.ends_with(".safetensors.index.json")) {
    return std::nullopt;
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

Model::Model() = default;
Model::~Model() = default;

const ModelWeights& Model::weights(Backend& backend) const {
  const Memory& memory = backend.memory();
  const WeightLayout layout = backend.weight_layout();
  if (memory.host_addressable() && layout == layout_) return weights_;
  const std::lock_guard lock(prepared_mutex_);
  for (const Prepared& prepared : prepared_) {
    if (prepared.memory == &memory && prepared.layout == layout) return prepared.weights->weights;
  }
  const bool in_file = gguf_.has_value() || safetensors_.has_value();
  auto made =
      std::make_unique<const PreparedWeights>(prepare(weights_, backend, in_file, progress_));
  return prepared_.emplace_back(Prepared{&memory, layout, std::move(made)}).weights->weights;
}

size_t Model::reordered_bytes(WeightLayout layout) const {
  return layout == layout_ ? 0 : prepared_bytes(weights_, layout, host_memory());
}

size_t Model::memory_bytes(WeightLayout layout) const {
  if (layout == WeightLayout::kRows) return weight_bytes_;
  return prepared_bytes(weights_, layout, host_memory()) + weights_.embedding.bytes() +
         vector_bytes(weights_);
}

std::shared_ptr<const Model> Model::load(const std::string& path, const RopeOverride& rope,
                                         LoadProgress progress) {
  std::shared_ptr<Model> model(new Model);
  model->progress_ = std::move(progress);
  model->path_ = path;
  if (std::optional<std::string> folder = hf_folder_of(path)) {
    model->hf_folder_ = *std::move(folder);
    model->open_hf(path, rope);
  } else {
    model->open_gguf(path, rope);
  }
  model->count_weights();
  return model;
}

void Model::open_gguf(const std::string& path, const RopeOverride& rope) {
  gguf_.emplace(GgufFile::open(path));
  config_ = read_gguf_config(*gguf_);
  apply_override(rope, &config_);
  if (config_.name.empty()) config_.name = std::filesystem::path(path).stem();
  const TensorSource source{path,
                            [this](std::string_view name) { return gguf_->find_tensor(name); },
                            gguf_->tensors(), &kGgufNames, /*ignores_leading_ones=*/true};
  LoadedWeights loaded = load_weights(source, config_);
  weights_ = std::move(loaded.weights);
  converted_ = std::move(loaded.converted);
}

void Model::open_hf(const std::string& path, const RopeOverride& rope) {
  const std::filesystem::path folder(hf_folder_);
  const std::string config_path = (folder / "config.json").string();
  config_ = read_hf_config(read_json_file(config_path), config_path);
  apply_override(rope, &config_);
  // "models/foo/" has an empty last component.
  config_.name = std::filesystem::absolute(folder / "config.json").parent_path().filename();
  safetensors_.emplace(SafetensorsFolder::open(path));
  const TensorSource source{
      path, [this](std::string_view name) { return safetensors_->find_tensor(name); },
      safetensors_->tensors(), &kHfNames};
  LoadedWeights loaded = load_weights(source, config_);
  weights_ = std::move(loaded.weights);
  converted_ = std::move(loaded.converted);
}

void Model::count_weights() {
  step_weight_bytes_ = vector_bytes(weights_);
  n_parameters_ = static_cast<int64_t>(step_weight_bytes_ / sizeof(float));
  for_each_matrix(weights_, [&](MatrixRole, const Weight& matrix) {
    step_weight_bytes_ += matrix.bytes();
    n_parameters_ += matrix.rows * matrix.cols;
  });
  weight_bytes_ = step_weight_bytes_;
  if (!config_.tied_output) {
    weight_bytes_ += weights_.embedding.bytes();
    n_parameters_ += weights_.embedding.rows * weights_.embedding.cols;
  }
  step_weight_bytes_ += weights_.embedding.row_bytes();
}

}  // namespace tidal
