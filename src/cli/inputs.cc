#include "cli/inputs.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/fail.h"

namespace tidal::cli {
namespace {

using Json = nlohmann::json;

constexpr const char* kDefaultModelFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

}  // namespace

std::string model_path(const std::string& given) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!given.empty()) {
    if (!fs::exists(given, ignored)) {
      fail(ErrorCode::kNotFound,
           "no model at {}: give a GGUF file or a Hugging Face folder, or run scripts/get-model "
           "and leave out -m",
           given);
    }
    if (fs::is_directory(given, ignored) && !fs::exists(fs::path(given) / "config.json", ignored)) {
      fail(ErrorCode::kNotFound,
           "the folder {} holds no config.json: give a GGUF file or a Hugging Face folder", given);
    }
    return given;
  }
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const fs::path folder = cache != nullptr && *cache != '\0'
                              ? fs::path(cache)
                              : fs::path(home != nullptr ? home : ".") / ".cache";
  const fs::path path = folder / "tidal" / kDefaultModelFile;
  if (!fs::exists(path, ignored)) {
    fail(ErrorCode::kNotFound, "no model at {}: run scripts/get-model, or give one with -m",
         path.string());
  }
  return path.string();
}

std::string read_text(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    fail(ErrorCode::kInvalidArgument, "cannot read {}: it is a folder, give a file", path);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fail(ErrorCode::kNotFound, "cannot read {}: {}, give a readable file", path,
         std::strerror(errno));
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<int32_t> read_tokens(const std::string& path) {
  const Json json = Json::parse(read_text(path), nullptr, /*allow_exceptions=*/false);
  const Json* ids = json.is_object() && json.contains("tokens") ? &json["tokens"] : &json;
  std::vector<int32_t> tokens;
  bool good = ids->is_array();
  for (size_t i = 0; good && i < ids->size(); ++i) {
    const Json& id = (*ids)[i];
    good = id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX;
    if (good) tokens.push_back(id.get<int32_t>());
  }
  if (!good) {
    fail(ErrorCode::kInvalidArgument,
         "{} is not a list of token ids, give JSON such as [1, 2, 3] or {{\"tokens\": [1, 2, 3]}}",
         path);
  }
  return tokens;
}

}  // namespace tidal::cli
