#include "runtime/model_text.h"

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "chat/builtin_templates.h"
#include "text/tokenizer_json.h"

namespace tidal {
namespace {

namespace fs = std::filesystem;

// A token's id, or -1 for none, which some writers spell as -1 or 2^32 - 1. An id outside the
// vocabulary also counts as none, with a warning; `what` is its file and key.
TokenId known_token(int64_t id, size_t vocab_size, std::string_view what) {
  if (id >= 0 && id < static_cast<int64_t>(vocab_size)) return static_cast<TokenId>(id);
  if (id != -1 && id != UINT32_MAX) {
    spdlog::warn("{} is {}, but the vocabulary has {} tokens: ignored", what, id, vocab_size);
  }
  return -1;
}

TokenId find_token(const GgufFile& file, const char* key, size_t vocab_size) {
  const std::optional<int64_t> id = file.find_int(key);
  return id ? known_token(*id, vocab_size, file.path() + ": " + key) : -1;
}

TokenizerData tokenizer_data(const GgufFile& file) {
  TokenizerData data;
  data.source = file.path();
  data.model = file.require_string("tokenizer.ggml.model");
  data.pre = file.find_string("tokenizer.ggml.pre").value_or("");
  for (const std::string_view token : file.require_strings("tokenizer.ggml.tokens")) {
    data.tokens.emplace_back(token);
  }
  const auto scores = file.find_floats("tokenizer.ggml.scores");
  if (scores.has_value()) data.scores = *scores;
  if (const auto types = file.find_ints("tokenizer.ggml.token_type")) {
    for (const int64_t type : *types) {
      if (type < 0 || type > INT32_MAX) {
        fail(ErrorCode::kCorrupt, "{}: tokenizer.ggml.token_type holds {}", file.path(), type);
      }
      data.types.push_back(static_cast<int32_t>(type));
    }
  }
  if (const auto merges = file.find_strings("tokenizer.ggml.merges")) {
    data.merges.assign(merges->begin(), merges->end());
  }
  const size_t n = data.tokens.size();
  data.bos = find_token(file, "tokenizer.ggml.bos_token_id", n);
  data.eos = find_token(file, "tokenizer.ggml.eos_token_id", n);
  data.eot = find_token(file, "tokenizer.ggml.eot_token_id", n);
  data.unk = find_token(file, "tokenizer.ggml.unknown_token_id", n);
  data.pad = find_token(file, "tokenizer.ggml.padding_token_id", n);
  data.add_bos = file.find_bool("tokenizer.ggml.add_bos_token");
  data.add_eos = file.find_bool("tokenizer.ggml.add_eos_token");
  data.add_space_prefix = file.find_bool("tokenizer.ggml.add_space_prefix").value_or(true);
  return data;
}

std::string file_text(const fs::path& path) {
  const MappedFile file(path.string());
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string text_if_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) ? file_text(path) : std::string();
}

// The tokens named by an object's "eos_token_id": an id or a list of ids.
std::vector<TokenId> end_tokens(const nlohmann::json& json, size_t vocab_size,
                                const std::string& path) {
  std::vector<TokenId> tokens;
  const auto eos = json.find("eos_token_id");
  if (eos == json.end()) return tokens;
  const std::string what = path + ": eos_token_id";
  for (const nlohmann::json& id : eos->is_array() ? *eos : nlohmann::json::array({*eos})) {
    if (id.is_null()) continue;
    const bool is_id =
        id.is_number_unsigned() ? id.get<uint64_t>() <= INT64_MAX : id.is_number_integer();
    if (!is_id) {
      spdlog::warn("{} is {}, not a token id: ignored", what, quote(id.dump()));
      continue;
    }
    const TokenId token = known_token(id.get<int64_t>(), vocab_size, what);
    if (token >= 0) tokens.push_back(token);
  }
  return tokens;
}

// generation_config.json may name more end-of-turn tokens than the tokenizer does. If it names
// none, config.json decides.
void add_end_tokens(const fs::path& folder, TokenizerData& data) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    const fs::path path = folder / name;
    std::error_code ignored;
    if (!fs::exists(path, ignored)) continue;
    const nlohmann::json json = read_json_file(path.string());
    if (!json.is_object()) fail(ErrorCode::kCorrupt, "{}: not a JSON object", path.string());
    data.extra_eog = end_tokens(json, data.tokens.size(), path.string());
    const auto text_config = json.find("text_config");
    if (data.extra_eog.empty() && text_config != json.end() && text_config->is_object()) {
      data.extra_eog = end_tokens(*text_config, data.tokens.size(), path.string());
    }
    if (!data.extra_eog.empty()) return;
  }
}

// A template is a string, or a list of named ones of which "default" is used.
std::string chat_template_of(const nlohmann::json& config, const std::string& path) {
  const auto entry = config.find("chat_template");
  if (entry == config.end() || entry->is_null()) return {};
  if (entry->is_string()) return entry->get<std::string>();
  if (entry->is_array()) {
    for (const nlohmann::json& named : *entry) {
      if (named.is_object() && named.value("name", "") == "default") {
        return named.value("template", "");
      }
    }
  }
  fail(ErrorCode::kUnsupported, "{}: chat_template is neither text nor a list with 'default'",
       path);
}

std::string chat_template_source(const Model& model) {
  if (const GgufFile* file = model.gguf()) {
    return std::string(file->find_string("tokenizer.chat_template").value_or(""));
  }
  const fs::path folder(model.hf_folder());
  if (std::string text = text_if_there(folder / "chat_template.jinja"); !text.empty()) return text;
  const fs::path config = folder / "tokenizer_config.json";
  std::error_code ignored;
  if (!fs::exists(config, ignored)) return {};
  return chat_template_of(read_json_file(config.string()), config.string());
}

std::string piece_or_empty(const Tokenizer& tokenizer, TokenId id) {
  return id < 0 ? std::string() : std::string(tokenizer.piece(id));
}

Tokenizer folder_tokenizer(const fs::path& folder) {
  const fs::path path = folder / "tokenizer.json";
  TokenizerData data = read_tokenizer_json(
      file_text(path), text_if_there(folder / "tokenizer_config.json"), path.string());
  add_end_tokens(folder, data);
  return Tokenizer::create(std::move(data));
}

}  // namespace

Tokenizer load_tokenizer(const Model& model) {
  if (const GgufFile* file = model.gguf()) return Tokenizer::create(tokenizer_data(*file));
  if (model.hf_folder().empty()) {
    fail(ErrorCode::kUnsupported, "{} has no tokenizer: its weights are random", model.path());
  }
  return folder_tokenizer(model.hf_folder());
}

Tokenizer load_tokenizer(const std::string& path) {
  if (const std::optional<std::string> folder = hf_folder_of(path)) {
    return folder_tokenizer(*folder);
  }
  return Tokenizer::create(tokenizer_data(GgufFile::open_metadata(path)));
}

std::optional<ChatTemplate> load_chat_template(const Model& model, const Tokenizer& tokenizer) {
  const std::string source = chat_template_source(model);
  if (source.empty()) return std::nullopt;
  return ChatTemplate::create(source, piece_or_empty(tokenizer, tokenizer.bos()),
                              piece_or_empty(tokenizer, tokenizer.eos()));
}

ChatPrompter load_chat_prompter(const Model& model, const Tokenizer& tokenizer,
                                std::string_view chat_template) {
  if (!chat_template.empty()) return ChatPrompter::with_template(tokenizer, chat_template);
  if (auto own = load_chat_template(model, tokenizer)) return {tokenizer, *std::move(own)};
  return ChatPrompter::with_template(tokenizer, kFallbackTemplate, /*fallback=*/true);
}

std::vector<TokenId> encode_messages(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                     std::span<const ChatMessage> messages,
                                     std::string_view answer_prefix) {
  JinjaText prompt = chat_template.render_marked(messages, /*add_generation_prompt=*/true);
  prompt.append(answer_prefix, /*is_content=*/true);
  return tokenizer.encode_prompt(prompt);
}

}  // namespace tidal
