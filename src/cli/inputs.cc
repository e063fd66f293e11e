#include "cli/inputs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fail.h"
#include "base/progress.h"
#include "runtime/model_options.h"

namespace tidal::cli {
namespace {

constexpr int64_t kMb = 1'000'000;

using Json = nlohmann::json;

constexpr const char* kDefaultModelFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

struct ClosedAtEnd {
  const int fd;
  ~ClosedAtEnd() { ::close(fd); }
};

std::string read_all(int fd, const std::string& name) {
  std::string text;
  std::vector<char> buffer(size_t{1} << 16);
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n == 0) return text;
    if (n > 0) {
      text.append(buffer.data(), static_cast<size_t>(n));
    } else if (errno != EINTR) {
      fail(ErrorCode::kIo, "cannot read {}: {}", name, std::strerror(errno));
    }
  }
}

}  // namespace

std::string model_path(const std::string& given, std::string_view file) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!given.empty()) {
    if (!fs::exists(given, ignored)) {
      fail(ErrorCode::kNotFound,
           "no model at {}: give a GGUF file or a Hugging Face folder, or run scripts/get-model "
           "and leave out -m",
           given);
    }
    if (fs::is_directory(given, ignored) && !fs::exists(fs::path(given) / file, ignored)) {
      fail(ErrorCode::kNotFound,
           "the folder {} holds no {}: give a GGUF file or a Hugging Face folder", given, file);
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

std::shared_ptr<const Model> load_model(const EngineOptions& options) {
  const std::string path = model_path(options.model);
  const auto bar = std::make_shared<StageBar>();
  const auto reorder = [bar](int64_t done, int64_t total) {
    done < total ? bar->update("loading the model", "MB", done / kMb, total / kMb) : bar->clear();
  };
  const ProgressBar opening("opening the model");
  return Model::load(path, rope_override(options.rope), reorder);
}

void claim_stdin() {
  static bool claimed = false;
  if (claimed) {
    fail(ErrorCode::kInvalidArgument, "standard input can be read once only: give - for one input");
  }
  claimed = true;
}

std::string read_text(const std::string& path) {
  if (path == "-") {
    claim_stdin();
    return read_all(STDIN_FILENO, "standard input");
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    fail(ErrorCode::kNotFound, "cannot read {}: {}, give a readable file", path,
         std::strerror(errno));
  }
  const ClosedAtEnd closed{fd};
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    fail(ErrorCode::kInvalidArgument, "cannot read {}: it is a folder, give a file", path);
  }
  return read_all(fd, path);
}

std::vector<int32_t> parse_tokens(std::string_view text, const std::string& path) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
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
