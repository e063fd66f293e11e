// Identifies the model a result belongs to: a cheap checksum that does not read whole files.
#pragma once

#include <string>
#include <string_view>

#include "model/model.h"

namespace tidal {

// 16 hexadecimal digits: FNV-1a (64 bits) over the length of the file, its first MiB and 256 evenly
// spread blocks of 4 KiB; for a Hugging Face folder, over its config.json and safetensors files in
// order of name. It detects another model, another quantization and a retrained tensor, but not
// deliberate changes between the blocks. Empty for random weights. Throws Error(kIo, kNotFound).
std::string model_sum(const Model& model);

// The same for one file, and for a file's content.
std::string file_sum(const std::string& path);
std::string text_sum(std::string_view content);

}  // namespace tidal
