#include "text/tokenizer_json_pipeline.h"

#include <cctype>
#include <limits>

#include "base/fail.h"
#include "text/vocabulary.h"

namespace tidal {
namespace {

using nlohmann::json;

// Splits at digits, letters and the rest as GPT-2 does; a ByteLevel step with use_regex runs it.
constexpr const char* kGpt2Name = "gpt-2";
constexpr const char* kPunctuation = R"([\p{P}$+<=>\^`|~])";

[[noreturn]] void refuse(const JsonView& step, std::string_view what) {
  fail(ErrorCode::kUnsupported, "{}: {} is not supported", step.where(), what);
}

// The steps of a component: itself, or the members of its Sequence.
std::vector<JsonView> steps_of(const JsonView& root, const char* component, const char* members) {
  const json* value = root.find(component);
  if (value == nullptr) return {};
  const JsonView step(*value, root.where() + ": " + component);
  if (step.string("type") != "Sequence") return {step};
  const json* list = step.find(members);
  if (list == nullptr || !list->is_array()) {
    fail(ErrorCode::kCorrupt, "{}: the Sequence has no list \"{}\"", step.where(), members);
  }
  std::vector<JsonView> steps;
  for (const json& each : *list) steps.emplace_back(each, step.where());
  return steps;
}

bool is_string_pattern(const JsonView& step, std::string_view text) {
  const json* pattern = step.find("pattern");
  if (pattern == nullptr || !pattern->is_object()) return false;
  const auto string = pattern->find("String");
  return string != pattern->end() && string->is_string() &&
         string->get_ref<const std::string&>() == text;
}

struct Steps {
  bool byte_level = false;
  bool space_marks = false;  // spaces become U+2581
};

void read_normalizers(const JsonView& root, TokenizerData* data, Steps* steps) {
  for (const JsonView& step : steps_of(root, "normalizer", "normalizers")) {
    const std::string type = step.string("type");
    if (type == "NFC") {
      data->normalize_nfc = true;
    } else if (type == "Prepend" && step.string("prepend") == kSpaceMark) {
      data->normalizer_prefix = true;
    } else if (type == "Replace" && is_string_pattern(step, " ") &&
               step.string("content") == kSpaceMark) {
      data->normalizer_marks = steps->space_marks = true;
    } else {
      refuse(step, fmt::format("this use of {}", type));
    }
  }
}

std::string quote_pattern(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c))) quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted;
}

SplitPattern read_split(const JsonView& step) {
  const JsonView pattern = step.object("pattern");
  SplitPattern split;
  if (pattern.find("Regex") != nullptr) {
    split.regex = pattern.string("Regex");
  } else {
    split.regex = quote_pattern(pattern.string("String"));
  }
  if (split.regex.empty()) refuse(step, "an empty Split pattern");
  const std::string behavior = step.string("behavior");
  const bool invert = step.flag("invert", false);
  if (behavior == "Removed" && invert) {
    split.drop_gaps = true;
  } else if (behavior != "Isolated") {
    refuse(step, fmt::format("Split with behavior {}{}", behavior, invert ? ", inverted" : ""));
  }
  return split;
}

SplitPattern read_punctuation(const JsonView& step) {
  const std::string behavior = step.string_or("behavior", "Isolated");
  if (behavior == "Contiguous") return {.regex = std::string(kPunctuation) + "+"};
  if (behavior != "Isolated") refuse(step, "Punctuation with behavior " + behavior);
  return {.regex = kPunctuation};
}

void read_metaspace(const JsonView& step, TokenizerData* data, Steps* steps) {
  if (step.string("replacement") != kSpaceMark) refuse(step, "this Metaspace replacement");
  if (step.flag("split", true)) refuse(step, "Metaspace that splits");
  const bool prefix = step.flag("add_prefix_space", true);
  const std::string scheme = step.string_or("prepend_scheme", prefix ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    refuse(step, "prepend_scheme " + scheme);
  }
  steps->space_marks = true;
  data->add_space_prefix = scheme != "never";
  data->space_prefix_first_only = scheme == "first";
  data->space_prefix_unless_space = true;
}

void read_pre_tokenizers(const JsonView& root, TokenizerData* data, Steps* steps) {
  bool is_first = true;
  for (const JsonView& step : steps_of(root, "pre_tokenizer", "pretokenizers")) {
    const std::string type = step.string("type");
    if (type == "ByteLevel") {
      steps->byte_level = true;
      if (step.flag("add_prefix_space", true)) {
        if (!is_first) refuse(step, "ByteLevel with add_prefix_space after another step");
        data->byte_level_space_prefix = true;
      }
      if (step.flag("use_regex", true)) {
        data->patterns.push_back(find_pre_tokenizer(kGpt2Name, data->source).patterns.front());
      }
    } else if (steps->byte_level) {
      refuse(step, fmt::format("{} after ByteLevel", type));
    } else if (type == "Digits") {
      const bool each = step.flag("individual_digits", false);
      data->patterns.push_back({.regex = each ? R"(\p{N})" : R"(\p{N}+)"});
    } else if (type == "Punctuation") {
      data->patterns.push_back(read_punctuation(step));
    } else if (type == "Metaspace") {
      read_metaspace(step, data, steps);
    } else if (type == "Split" && steps->space_marks && is_string_pattern(step, " ")) {
      // The normalizer has left no spaces to split at.
    } else if (type == "Split") {
      data->patterns.push_back(read_split(step));
    } else {
      refuse(step, type);
    }
    is_first = false;
  }
}

TokenId template_token(const JsonView& step, const json& item) {
  const std::string name = JsonView(item, step.where()).string("id");
  const json* ids = step.object("special_tokens").object(name.c_str()).find("ids");
  if (ids == nullptr || !ids->is_array() || ids->size() != 1) {
    refuse(step, fmt::format("special token \"{}\" that is not one id", name));
  }
  return json_id(ids->front(), step.where() + ": special token \"" + name + "\"");
}

// What is added around one text: at most one token on each side.
void read_template(const JsonView& step, TokenizerData* data) {
  const json* single = step.find("single");
  if (single == nullptr || !single->is_array()) {
    fail(ErrorCode::kCorrupt, "{}: TemplateProcessing has no list \"single\"", step.where());
  }
  data->add_bos = false;
  data->add_eos = false;
  bool seen_text = false;
  for (const json& item : *single) {
    const JsonView entry(item, step.where());
    if (entry.find("Sequence") != nullptr) {
      if (seen_text) refuse(step, "a template with the text twice");
      seen_text = true;
      continue;
    }
    const TokenId id = template_token(step, entry.object("SpecialToken").value());
    std::optional<bool>& adds = seen_text ? data->add_eos : data->add_bos;
    if (*adds) refuse(step, "a template with two special tokens side by side");
    adds = true;
    (seen_text ? data->eos : data->bos) = id;
  }
  if (!seen_text) refuse(step, "a template without the text");
}

void read_post_processors(const JsonView& root, TokenizerData* data) {
  for (const JsonView& step : steps_of(root, "post_processor", "processors")) {
    const std::string type = step.string("type");
    if (type == "TemplateProcessing") {
      read_template(step, data);
    } else if (type != "ByteLevel") {  // which only moves offsets
      refuse(step, type);
    }
  }
}

void check_decoders(const JsonView& root, bool byte_level) {
  for (const JsonView& step : steps_of(root, "decoder", "decoders")) {
    const std::string type = step.string("type");
    bool known = type == "ByteLevel";
    if (!byte_level) {
      known = type == "ByteFallback" || type == "Fuse" || type == "Metaspace" ||
              (type == "Replace" && is_string_pattern(step, kSpaceMark) &&
               step.string("content") == " ") ||
              (type == "Strip" && step.string("content") == " ");
    }
    if (!known) refuse(step, fmt::format("this use of {}", type));
  }
}

}  // namespace

JsonView::JsonView(const json& value, std::string where) : value_(value), where_(std::move(where)) {
  if (!value.is_object()) fail(ErrorCode::kCorrupt, "{}: not a JSON object", where_);
}

const json* JsonView::find(const char* key) const {
  const auto found = value_.find(key);
  return found == value_.end() || found->is_null() ? nullptr : &*found;
}

JsonView JsonView::object(const char* key) const {
  const json* found = find(key);
  if (found == nullptr) fail(ErrorCode::kCorrupt, "{}: \"{}\" is missing", where_, key);
  return JsonView(*found, where_ + ": " + key);
}

std::string JsonView::string(const char* key) const {
  const json* found = find(key);
  if (found == nullptr || !found->is_string()) {
    fail(ErrorCode::kCorrupt, "{}: \"{}\" is missing or not a string", where_, key);
  }
  return found->get<std::string>();
}

std::string JsonView::string_or(const char* key, const char* otherwise) const {
  return find(key) == nullptr ? otherwise : string(key);
}

bool JsonView::flag(const char* key, bool otherwise) const {
  const json* found = find(key);
  if (found == nullptr) return otherwise;
  if (!found->is_boolean()) {
    fail(ErrorCode::kCorrupt, "{}: \"{}\" is neither true nor false", where_, key);
  }
  return found->get<bool>();
}

int32_t JsonView::id(const char* key) const {
  const json* found = find(key);
  if (found == nullptr) fail(ErrorCode::kCorrupt, "{}: \"{}\" is missing", where_, key);
  return json_id(*found, where_ + ": \"" + key + "\"");
}

int32_t json_id(const json& value, const std::string& what) {
  if (!value.is_number_unsigned() ||
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int32_t>::max())) {
    fail(ErrorCode::kCorrupt, "{} is not a token id", what);
  }
  return static_cast<int32_t>(value.get<uint64_t>());
}

void read_pipeline(const JsonView& root, TokenizerData* data) {
  Steps steps;
  data->add_space_prefix = false;
  read_normalizers(root, data, &steps);
  read_pre_tokenizers(root, data, &steps);
  if (steps.byte_level == steps.space_marks) {
    fail(ErrorCode::kUnsupported,
         "{}: the tokenizer is neither byte-level (pre_tokenizer ByteLevel) nor SentencePiece-like "
         "(spaces replaced by U+2581); other kinds are not supported",
         root.where());
  }
  if (steps.space_marks && !data->patterns.empty()) {
    fail(ErrorCode::kUnsupported, "{}: pre_tokenizer patterns in a SentencePiece-like tokenizer",
         root.where());
  }
  data->model = steps.byte_level ? "gpt2" : "llama";
  data->has_patterns = steps.byte_level;
  read_post_processors(root, data);
  check_decoders(root, steps.byte_level);
}

}  // namespace tidal
