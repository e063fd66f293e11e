// What a command reads: the model, texts and token ids, each named by a path or "-" for stdin.
//
// All throw Error that names the path and says what to give instead. A source is read once, so that
// pipes will do: who needs the text and more of it keeps the text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "tidal/options.h"

namespace tidal::cli {

// The model that was asked for, or the default one in the user's cache folder.
// A folder has to hold `file`.
std::string model_path(const std::string& given, std::string_view file = "config.json");

// That model, with a progress bar now and when its weights are reordered.
std::shared_ptr<const Model> load_model(const EngineOptions& options);

// A whole file, or standard input for "-", which nobody may have read before.
std::string read_text(const std::string& path);
// Whoever reads standard input in another way says so first; throws Error when it has been read.
void claim_stdin();
// A JSON array of token ids, or an object with "tokens"; `path` is for error messages.
std::vector<int32_t> parse_tokens(std::string_view text, const std::string& path);

}  // namespace tidal::cli
