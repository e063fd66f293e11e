#include <algorithm>
#include <optional>
#include <utility>

#include "base/json.h"
#include "chat/call_json.h"
#include "chat/call_parsers.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
}

// Takes the text up to `tag` off the front, and the tag with it.
std::optional<std::string_view> cut(std::string_view& text, std::string_view tag) {
  const size_t found = text.find(tag);
  if (found == text.npos) return std::nullopt;
  const std::string_view before = text.substr(0, found);
  text.remove_prefix(found + tag.size());
  return before;
}

// What the schema says is text is text; anything else is JSON if it can be.
Json argument_value(const Json& tools, std::string_view tool, const std::string& name,
                    std::string_view text) {
  const Json* schema = find_argument(tools, tool, name);
  const bool is_text =
      schema != nullptr && schema->is_object() && schema->value("type", Json()) == "string";
  if (!is_text) {
    if (std::optional<Json> json = read_call_json(trim(text))) return *std::move(json);
  }
  return std::string(text);
}

// The one new line on either side belongs to the layout.
std::string_view without_layout(std::string_view value) {
  if (value.starts_with('\n')) value.remove_prefix(1);
  if (value.ends_with('\n')) value.remove_suffix(1);
  return value;
}

using Calls = std::optional<std::vector<ToolCall>>;
// closed: the closing tag is there; what must end otherwise looks for itself.
using ReadBody = Calls (*)(std::string_view body, bool closed, const Json& tools);

Calls read_functions(std::string_view body, bool closed, const Json& tools) {
  std::vector<ToolCall> calls;
  while (cut(body, "<function=").has_value()) {
    const auto name = cut(body, ">");
    if (!name.has_value()) return std::nullopt;
    std::string_view rest = body;
    const auto whole = cut(rest, "</function>");
    if (!whole.has_value() && !closed) return std::nullopt;
    std::string_view inside = whole.value_or(body);
    body = whole.has_value() ? rest : std::string_view();
    Json arguments = Json::object();
    while (cut(inside, "<parameter=").has_value()) {
      const auto key = cut(inside, ">");
      const auto value = cut(inside, "</parameter>");
      if (!key.has_value() || !value.has_value()) return std::nullopt;
      const std::string argument(trim(*key));
      arguments[argument] = argument_value(tools, trim(*name), argument, without_layout(*value));
      if (arguments.size() > 256) return std::nullopt;  // found one by one
    }
    calls.push_back({{}, std::string(trim(*name)), dump(arguments)});
  }
  return calls;
}

Calls read_arg_keys(std::string_view body, bool closed, const Json& tools) {
  const size_t end = body.find("<arg_key>");
  const std::string_view name = trim(body.substr(0, end));
  if (!closed || name.empty() || name.find_first_of("{}\n") != name.npos) return std::nullopt;
  Json arguments = Json::object();
  while (cut(body, "<arg_key>").has_value()) {
    const auto key = cut(body, "</arg_key>");
    const bool has_value = cut(body, "<arg_value>").has_value();
    const auto value = cut(body, "</arg_value>");
    if (!key.has_value() || !has_value || !value.has_value()) return std::nullopt;
    const std::string argument(trim(*key));
    arguments[argument] = argument_value(tools, name, argument, *value);
    if (arguments.size() > 256) return std::nullopt;
  }
  return std::vector<ToolCall>{{{}, std::string(name), dump(arguments)}};
}

Calls one_call(std::string_view name, std::string_view arguments) {
  const std::optional<Json> json = read_call_json(trim(arguments));
  name = trim(name);
  if (!json.has_value() || !json->is_object() || name.empty()) return std::nullopt;
  return std::vector<ToolCall>{{{}, std::string(name), dump(*json)}};
}

Calls read_separated(std::string_view body, bool, const Json&) {
  const auto first = cut(body, "<｜tool▁sep｜>");
  if (!first.has_value()) return std::nullopt;
  constexpr std::string_view kCode = "```json";
  if (body.find(kCode) == body.npos) return one_call(*first, body);
  const std::string_view name = *cut(body, kCode);
  return one_call(name, body.substr(0, body.rfind("```")));
}

Calls read_indexed(std::string_view body, bool, const Json&) {
  const auto id = cut(body, "<|tool_call_argument_begin|>");
  if (!id.has_value()) return std::nullopt;
  std::string_view name = trim(*id);
  constexpr std::string_view kPrefix = "functions.";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  name = name.substr(0, name.rfind(':'));
  Calls calls = one_call(name, body);
  if (calls.has_value()) calls->front().id = trim(*id);
  return calls;
}

Calls read_named(std::string_view body, bool, const Json&) {
  const auto name = cut(body, ">");
  return name.has_value() ? one_call(*name, body) : std::nullopt;
}

class TaggedCalls : public CallParser {
 public:
  TaggedCalls(const ReplyFormat& format, const Json& tools, ReadBody read)
      : format_(format), tools_(tools), read_(read), looked_at_(format.open.size()) {}

  CallOutcome feed(std::string_view section, bool at_end) override {
    const size_t begin = format_.open.size();
    size_t end = section.find(format_.close, looked_at_);
    if (end == section.npos && !at_end) {
      const size_t tag = format_.close.size();
      looked_at_ = std::max(looked_at_, section.size() - std::min(section.size(), tag));
      return {};
    }
    const size_t length = end == section.npos ? section.size() : end + format_.close.size();
    const bool closed = end != section.npos;
    if (!closed) end = section.size();
    Calls calls = read_(section.substr(begin, end - begin), closed, tools_);
    return {true, length, calls.has_value() ? *std::move(calls) : std::vector<ToolCall>()};
  }

 private:
  const ReplyFormat& format_;
  const Json& tools_;
  ReadBody read_;
  size_t looked_at_;
};

}  // namespace

std::unique_ptr<CallParser> make_function_calls(const ReplyFormat& format, const Json& tools) {
  return std::make_unique<TaggedCalls>(format, tools, read_functions);
}

std::unique_ptr<CallParser> make_arg_key_calls(const ReplyFormat& format, const Json& tools) {
  return std::make_unique<TaggedCalls>(format, tools, read_arg_keys);
}

std::unique_ptr<CallParser> make_separated_calls(const ReplyFormat& format, const Json& tools) {
  return std::make_unique<TaggedCalls>(format, tools, read_separated);
}

std::unique_ptr<CallParser> make_indexed_calls(const ReplyFormat& format, const Json& tools) {
  return std::make_unique<TaggedCalls>(format, tools, read_indexed);
}

std::unique_ptr<CallParser> make_named_calls(const ReplyFormat& format, const Json& tools) {
  return std::make_unique<TaggedCalls>(format, tools, read_named);
}

}  // namespace tidal
