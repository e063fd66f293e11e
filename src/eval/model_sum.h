// Which model a result belongs to: a cheap sum that tells files apart without reading all of them.
#pragma once

#include <string>
#include <string_view>

#include "model/model.h"

namespace tidal {

// 16 hexadecimal digits: FNV-1a (64 bits) over the length of the file, its first MiB and 256 blocks
// of 4 KiB spread evenly over it; for a Hugging Face folder, over its config.json and safetensors
// files in order of name. It notices another model, another quantization and a retrained tensor; it
// is no protection against somebody who changes bytes between the blocks on purpose. Empty for
// random weights. Throws Error(kIo, kNotFound).
std::string model_sum(const Model& model);

// The same of one file, and of a file's content.
std::string file_sum(const std::string& path);
std::string text_sum(std::string_view content);

}  // namespace tidal
