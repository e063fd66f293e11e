#include "text/tokenizer_json.h"

#include <filesystem>
#include <unordered_map>

#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "base/quote.h"
#include "text/tokenizer_json_pipeline.h"
#include "text/vocabulary.h"

namespace tidal {
namespace {

using nlohmann::json;

// Ids without a token are allowed (padded vocabularies), but only up to a bound.
constexpr size_t kMaxHoles = 65536;

class Reader {
 public:
  Reader(const json& root, const std::string& path) : root_(root, path) { data_.source = path; }

  TokenizerData read(std::string_view config_json) {
    data_.literal_added_tokens = true;
    read_pipeline(root_, &data_);
    read_model();
    read_added_tokens();
    if (!config_json.empty()) read_config(config_json);
    return std::move(data_);
  }

 private:
  bool byte_level() const { return data_.model == "gpt2"; }

  void read_model() {
    const JsonView model = root_.object("model");
    const std::string type = model.string_or("type", "BPE");
    if (type != "BPE") {
      fail(ErrorCode::kUnsupported, "{}: type {} is not supported; BPE is", model.where(), type);
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!model.string_or(key, "").empty()) {
        fail(ErrorCode::kUnsupported, "{}: {} is not supported", model.where(), key);
      }
    }
    const json* dropout = model.find("dropout");
    if (dropout != nullptr && *dropout != 0) {
      fail(ErrorCode::kUnsupported, "{}: dropout is not supported", model.where());
    }
    data_.ignore_merges = model.flag("ignore_merges", false);
    data_.byte_fallback = model.flag("byte_fallback", false);
    data_.fuse_unknown = model.flag("fuse_unk", false);
    if (byte_level() && data_.byte_fallback) {
      fail(ErrorCode::kUnsupported, "{}: byte_fallback with ByteLevel is not supported",
           model.where());
    }
    read_vocabulary(model);
    read_merges(model);
  }

  void read_vocabulary(const JsonView& model) {
    const JsonView vocabulary = model.object("vocab");
    const json* added = root_.find("added_tokens");
    const size_t n_added = added != nullptr && added->is_array() ? added->size() : 0;
    max_size_ = vocabulary.value().size() + n_added + kMaxHoles;
    for (const auto& [text, id] : vocabulary.value().items()) {
      set_token(json_id(id, vocabulary.where() + ": the value of a token"), text,
                TokenType::kNormal, vocabulary.where());
    }
    const std::string unknown = model.string_or("unk_token", "");
    if (!byte_level() && !unknown.empty()) {
      data_.unk = find_role(unknown, root_.where() + ": model: unk_token");
      if (data_.unk >= 0) data_.types[data_.unk] = static_cast<int32_t>(TokenType::kUnknown);
    }
  }

  void read_merges(const JsonView& model) {
    const json* merges = model.find("merges");
    if (merges == nullptr || !merges->is_array()) {
      fail(ErrorCode::kCorrupt, "{}: \"merges\" is missing or not a list", model.where());
    }
    data_.merges.reserve(merges->size());
    for (const json& merge : *merges) {
      if (merge.is_string()) {
        data_.merges.push_back(merge.get<std::string>());
        continue;
      }
      if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() ||
          !merge[1].is_string()) {
        fail(ErrorCode::kCorrupt, "{}: merge {} is neither a string nor a pair of strings",
             model.where(), data_.merges.size());
      }
      const auto& left = merge[0].get_ref<const std::string&>();
      const auto& right = merge[1].get_ref<const std::string&>();
      if (left.find(' ') != std::string::npos || right.find(' ') != std::string::npos) {
        fail(ErrorCode::kUnsupported, "{}: merge {} has a space inside a token", model.where(),
             data_.merges.size());
      }
      std::string& pair = data_.merges.emplace_back(left);
      pair += ' ';
      pair += right;
    }
  }

  void read_added_tokens() {
    const json* added = root_.find("added_tokens");
    if (added == nullptr) return;
    const std::string where = root_.where() + ": added_tokens";
    if (!added->is_array()) fail(ErrorCode::kCorrupt, "{} is not a list", where);
    for (const json& item : *added) {
      const JsonView token(item, where);
      const std::string text = token.string("content");
      const TokenId id = token.id("id");
      if (token.flag("single_word", false)) {
        fail(ErrorCode::kUnsupported, "{}: single_word, on \"{}\", is not supported", where, text);
      }
      // A special token that is also an ordinary word is found in every text.
      const bool is_word = ids_.contains(text) && !is_markup(text);
      const bool is_control = token.flag("special", false) && !is_word;
      set_token(id, text, is_control ? TokenType::kControl : TokenType::kUserDefined, where);
      if (token.flag("lstrip", false)) data_.strip_left.push_back(id);
      if (token.flag("rstrip", false)) data_.strip_right.push_back(id);
      if (token.flag("normalized", true)) data_.normalized.push_back(id);
    }
    if (data_.unk >= 0) data_.types[data_.unk] = static_cast<int32_t>(TokenType::kUnknown);
  }

  void set_token(TokenId id, const std::string& text, TokenType type, const std::string& where) {
    const size_t needed = static_cast<size_t>(id) + 1;
    if (needed > max_size_) {
      fail(ErrorCode::kCorrupt, "{}: id {} is far beyond the number of tokens", where, id);
    }
    if (data_.tokens.size() < needed) {
      data_.tokens.resize(needed);
      data_.types.resize(needed, static_cast<int32_t>(TokenType::kUnused));
    }
    const bool taken = data_.types[id] != static_cast<int32_t>(TokenType::kUnused);
    if (taken && data_.tokens[id] != text) {
      fail(ErrorCode::kCorrupt, "{}: id {} belongs to \"{}\" and to \"{}\"", where, id,
           data_.tokens[id], text);
    }
    data_.tokens[id] = text;
    data_.types[id] = static_cast<int32_t>(type);
    ids_[text] = id;  // an added token hides an ordinary one of the same name
  }

  // An unfilled role does not prevent loading; `what` begins with the file's name.
  TokenId find_role(const std::string& name, const std::string& what) const {
    const auto found = ids_.find(name);
    if (found != ids_.end()) return found->second;
    spdlog::warn("{} is {}, which the vocabulary does not have: ignored", what, quote(name));
    return -1;
  }

  void read_config(std::string_view text) {
    const std::string path =
        std::filesystem::path(root_.where()).replace_filename("tokenizer_config.json").string();
    const json parsed = parse_json(text, path);
    const JsonView config(parsed, path);
    const bool has_template = data_.add_bos.has_value();
    read_role(config, "bos_token", &data_.bos, has_template && *data_.add_bos);
    read_role(config, "eos_token", &data_.eos, has_template && *data_.add_eos);
    read_role(config, "pad_token", &data_.pad, false);
    if (has_template) return;
    if (data_.bos >= 0) data_.add_bos = config.flag("add_bos_token", false);
    if (data_.eos >= 0) data_.add_eos = config.flag("add_eos_token", false);
  }

  // A name, or an added token containing it.
  void read_role(const JsonView& config, const char* key, TokenId* id, bool is_settled) const {
    const json* value = config.find(key);
    if (value == nullptr || is_settled) return;
    const std::string what = config.where() + ": " + key;
    if (value->is_object()) value = JsonView(*value, what).find("content");
    if (value != nullptr && value->is_string()) {
      *id = find_role(value->get<std::string>(), what);
    } else {
      spdlog::warn("{} is not the name of a token: ignored", what);
    }
  }

  JsonView root_;
  TokenizerData data_;
  std::unordered_map<std::string, TokenId> ids_;
  size_t max_size_ = 0;
};

}  // namespace

TokenizerData read_tokenizer_json(std::string_view json_text, std::string_view config_json,
                                  const std::string& path) {
  const json root = parse_json(json_text, path);
  return Reader(root, path).read(config_json);
}

}  // namespace tidal
