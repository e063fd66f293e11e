// The options of a model, as shared by the front ends of engine and evaluation.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "attention/method.h"
#include "model/model.h"
#include "tensor/dtype.h"
#include "tidal/options.h"

namespace tidal {

RopeOverride rope_override(const RopeOptions& options);  // throws Error naming the option
DType cache_type(std::string_view name, std::string_view option);

// Of a cache with the options' types, all layers.
size_t cache_bytes_per_token(const Config& config, const EngineOptions& options);

// Throws Error(kExhausted), ending in `remedy`, if a cache for this many tokens exceeds the memory
// this process can fill: before anything is filled.
void require_cache_memory(const Config& config, const EngineOptions& options, int64_t n_tokens,
                          std::string_view remedy);

// Of the matrices that the options' back end multiplies with.
WeightLayout weight_layout(const EngineOptions& options);

// Where a model's own plan lies: model.gguf -> model.plan.json, a folder -> its plan.json. Empty if
// there is no such file.
std::string plan_file_beside(const std::string& model_path);

// The method for this model (whose own plan file counts) and a cache of this row size. Throws Error
// as make_method does.
std::shared_ptr<const AttentionMethod> method_for(const Model& model, MethodOptions options,
                                                  size_t cache_bytes_per_token);
// The same, for the cache these options make.
std::shared_ptr<const AttentionMethod> method_for(const Model& model, const MethodOptions& options,
                                                  const EngineOptions& engine);

}  // namespace tidal
