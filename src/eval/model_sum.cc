#include "eval/model_sum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/mapped_file.h"

namespace tidal {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHead = size_t{1} << 20;
constexpr size_t kBlock = 4096;
constexpr size_t kBlocks = 256;

class Fnv {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      hash_ = (hash_ ^ static_cast<uint64_t>(byte)) * 0x100000001b3u;
    }
  }
  void add_file(const std::string& path) {
    const MappedFile file(path);
    add_blocks(file.bytes());
  }
  void add_blocks(std::span<const std::byte> bytes) {
    const uint64_t size = bytes.size();
    add(std::as_bytes(std::span(&size, 1)));
    add(bytes.first(std::min(kHead, bytes.size())));
    if (bytes.size() <= kHead) return;
    const size_t last = bytes.size() - std::min(kBlock, bytes.size() - kHead);
    for (size_t i = 1; i <= kBlocks; ++i) {
      const size_t first = kHead + (last - kHead) / kBlocks * i;
      add(bytes.subspan(first, std::min(kBlock, bytes.size() - first)));
    }
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  uint64_t hash_ = 0xcbf29ce484222325u;
};

}  // namespace

std::string file_sum(const std::string& path) {
  Fnv sum;
  sum.add_file(path);
  return sum.text();
}

std::string text_sum(std::string_view content) {
  Fnv sum;
  sum.add_blocks(std::as_bytes(std::span(content)));
  return sum.text();
}

std::string model_sum(const Model& model) {
  if (model.gguf() != nullptr) return file_sum(model.path());
  if (model.hf_folder().empty()) return {};
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(model.hf_folder())) {
    const fs::path& path = entry.path();
    if (path.extension() == ".safetensors" || path.filename() == "config.json") {
      files.push_back(path.string());
    }
  }
  std::sort(files.begin(), files.end());
  Fnv sum;
  for (const std::string& file : files) sum.add_file(file);
  return sum.text();
}

}  // namespace tidal
