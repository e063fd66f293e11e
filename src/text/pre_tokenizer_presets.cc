// The named pre-tokenizers: what tokenizer.ggml.pre may contain, and the patterns each name stands
// for (as in the tokenizer.json of its model family).
#include <algorithm>
#include <array>
#include <string>

#include "base/fail.h"
#include "text/pre_tokenizer.h"

namespace tidal {
namespace {

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kAsciiDigitTriple = "[0-9][0-9][0-9]";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kBloom =
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";
constexpr const char* kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr const char* kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Family {
  const char* names;  // between spaces, each with one before and after
  std::array<const char*, 5> patterns;
  bool ignore_merges = false;
  bool add_bos = false;
};

constexpr Family kFamilies[] = {
    {" default ", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", kAsciiDigitTriple}},
    {" llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 ", {kLlama3}, true, true},
    {" dbrx smaug-bpe glm4 chatglm-bpe ", {kLlama3}},
    {" qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan kormo grok-2 ", {kQwen2}},
    {" qwen35 ", {kQwen35}},
    {" deepseek-coder ",
     {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
      R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", kDigit}},
    {" deepseek-v3 hunyuan-dense ",
     {R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)", kDeepSeek3}},
    {" falcon ", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, kAsciiDigitTriple}},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b ", {kDigit, kGpt2}},
    {" gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat mellum a.x-4.0 jina-es jina-de "
     "jina-v2-es jina-v2-de ",
     {kGpt2}},
    {" tekken ", {kTekken}, true, true},
    {" gpt-4o llama4 ", {kGpt4o}},
    {" poro-chat bloom gpt3-finnish ", {kBloom}},
    {" viking ", {kBloom, kDigit}},
    {" bailingmoe bailingmoe2 llada-moe ", {kBailing}},
    {" seed-coder ", {kSeedCoder}},
};

}  // namespace

std::vector<std::string> pre_tokenizer_names() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) {
    std::string name;
    for (const char* c = family.names + 1; *c != '\0'; ++c) {
      if (*c != ' ') {
        name.push_back(*c);
      } else {
        names.push_back(std::move(name));
        name.clear();
      }
    }
  }
  return names;
}

PreTokenizerPreset find_pre_tokenizer(const std::string& name, const std::string& source) {
  const bool is_name = !name.empty() && name.find(' ') == std::string::npos;
  const std::string wanted = " " + name + " ";
  for (const Family& family : kFamilies) {
    if (!is_name || std::string_view(family.names).find(wanted) == std::string_view::npos) continue;
    PreTokenizerPreset preset;
    for (const char* pattern : family.patterns) {
      if (pattern != nullptr) preset.patterns.push_back({.regex = pattern});
    }
    preset.ignore_merges = family.ignore_merges;
    preset.add_bos = family.add_bos;
    return preset;
  }
  std::string known;
  for (const std::string& each : pre_tokenizer_names()) known += (known.empty() ? "" : ", ") + each;
  if (name.empty()) {
    fail(ErrorCode::kUnsupported,
         "{}: the pre-tokenizer is not named (key tokenizer.ggml.pre); it cannot be guessed. "
         "Convert the model again; known names: {}",
         source, known);
  }
  fail(ErrorCode::kUnsupported,
       "{}: unknown pre-tokenizer \"{}\" (key tokenizer.ggml.pre); known names: {}", source, name,
       known);
}

}  // namespace tidal
