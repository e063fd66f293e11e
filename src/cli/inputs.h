// What a command reads: the model, texts and token ids, each named by a path or "-" for stdin.
//
// All throw Error that names the path and says what to give instead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tidal::cli {

// The model that was asked for, or the default one in the user's cache folder.
std::string model_path(const std::string& given);

// A whole file, or standard input for "-".
std::string read_text(const std::string& path);
// A JSON array of token ids, or an object with "tokens".
std::vector<int32_t> read_tokens(const std::string& path);

}  // namespace tidal::cli
