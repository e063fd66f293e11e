// For tests: reading whole files, and the tokenizer metadata of a GGUF file (its first 16 MB), read
// without checks beyond its size (the real reader is in files/, which text/ cannot use).
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "testing/paths.h"
#include "text/tokenizer.h"

namespace tidal::test {

// Runs f on a megabyte of text and on its first quarter: under a second (sanitizers aside), and
// near linear: a factor of four, where quadratic time would give sixteen. Measures processor time
// of this process, so a busy machine does not matter.
template <typename F>
void expect_near_linear(std::string_view text, const std::string& what, F&& f) {
  const auto seconds = [&](std::string_view part) {
    const std::clock_t begin = std::clock();
    f(part);
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  const double quarter = seconds(text.substr(0, text.size() / 4));
  const double whole = seconds(text);
  EXPECT_LT(whole, 10 * quarter + 0.1) << what;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(whole, 1.0) << what;
#endif
}

inline std::string read_text(const std::string& path, size_t max_bytes = size_t{1} << 24) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::string text(max_bytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(max_bytes));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

class GgufVocabularyReader {
 public:
  explicit GgufVocabularyReader(const std::string& path) : bytes_(read_text(path)) {
    data_.source = path;
    take<uint32_t>();  // magic
    take<uint32_t>();  // version
    take<uint64_t>();  // tensors
    const auto n_keys = take<uint64_t>();
    for (uint64_t i = 0; i < n_keys; ++i) read_entry();
  }

  TokenizerData take_data() { return std::move(data_); }

 private:
  template <typename T>
  T take() {
    T value;
    if (at_ + sizeof(T) > bytes_.size()) throw std::runtime_error("short GGUF file");
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string take_string() {
    const auto size = take<uint64_t>();
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

  void read_entry() {
    const std::string key = take_string();
    const auto type = take<uint32_t>();
    if (type == 9) return read_array(key);
    if (type == 8) {
      const std::string value = take_string();
      if (key == "tokenizer.ggml.model") data_.model = value;
      if (key == "tokenizer.ggml.pre") data_.pre = value;
      return;
    }
    constexpr size_t kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + at_, kWidths[type]);
    at_ += kWidths[type];
    const auto id = static_cast<TokenId>(static_cast<uint32_t>(value));
    if (key == "tokenizer.ggml.bos_token_id") data_.bos = id;
    if (key == "tokenizer.ggml.eos_token_id") data_.eos = id;
    if (key == "tokenizer.ggml.unknown_token_id") data_.unk = id;
    if (key == "tokenizer.ggml.padding_token_id") data_.pad = id;
    if (key == "tokenizer.ggml.add_bos_token") data_.add_bos = value != 0;
    if (key == "tokenizer.ggml.add_eos_token") data_.add_eos = value != 0;
    if (key == "tokenizer.ggml.add_space_prefix") data_.add_space_prefix = value != 0;
  }

  void read_array(const std::string& key) {
    const auto type = take<uint32_t>();
    const auto n = take<uint64_t>();
    for (uint64_t i = 0; i < n; ++i) {
      if (type == 8) {
        std::string value = take_string();
        if (key == "tokenizer.ggml.tokens") data_.tokens.push_back(value);
        if (key == "tokenizer.ggml.merges") data_.merges.push_back(value);
      } else if (type == 6) {
        const auto value = take<float>();
        if (key == "tokenizer.ggml.scores") data_.scores.push_back(value);
      } else {
        const auto value = take<int32_t>();
        if (key == "tokenizer.ggml.token_type") data_.types.push_back(value);
      }
    }
  }

  std::string bytes_;
  size_t at_ = 0;
  TokenizerData data_;
};

inline TokenizerData read_gguf_vocabulary(const std::string& path) {
  return GgufVocabularyReader(path).take_data();
}

}  // namespace tidal::test
