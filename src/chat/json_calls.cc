#include <algorithm>
#include <optional>
#include <utility>

#include "chat/call_json.h"
#include "chat/call_parsers.h"
#include "chat/json_scan.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSpace = " \t\r\n";

size_t skip(std::string_view text, size_t at, std::string_view bytes) {
  const size_t found = text.find_first_not_of(bytes, at);
  return found == text.npos ? text.size() : found;
}

bool begins_value(char c) { return c == '{' || c == '['; }

class JsonCalls : public CallParser {
 public:
  // known: nullptr takes calls of any name.
  JsonCalls(std::string_view open, std::string_view close, const Json* known)
      : close_(close), known_(known), value_(open.size()), end_(open.size()) {}

  CallOutcome feed(std::string_view section, bool at_end) override {
    while (true) {
      const size_t begin = skip(section, value_, calls_.empty() ? kSpace : " \t\r\n,;");
      if (begin == section.size()) {
        value_ = begin;
        if (!at_end) return {};
        return finish(calls_.empty() ? begin : end_);
      }
      if (!begins_value(section[begin])) return close(section, at_end);
      const size_t end = scan_.find_end(section, begin);
      if (end == section.npos) {
        if (!at_end) return {};
        return finish(calls_.empty() ? section.size() : end_);
      }
      if (!take(section.substr(begin, end - begin))) {
        return finish(calls_.empty() ? end : end_);
      }
      scan_ = {};
      value_ = end_ = end;
      if (section[begin] == '[' && close_.empty()) return finish(end_);
    }
  }

 private:
  bool take(std::string_view text) {
    const std::optional<Json> json = read_call_json(text);
    std::vector<ToolCall> calls;
    if (!json.has_value() || !append_calls(*json, calls)) return false;
    for (const ToolCall& call : calls) {
      if (known_ != nullptr && !is_known_tool(*known_, call.name)) return false;
    }
    std::move(calls.begin(), calls.end(), std::back_inserter(calls_));
    return true;
  }

  // Something else follows: the closing tag, or text.
  CallOutcome close(std::string_view section, bool at_end) {
    const size_t begin = skip(section, end_, kSpace);
    const std::string_view rest = section.substr(begin);
    if (!close_.empty() && rest.starts_with(close_)) return finish(begin + close_.size());
    if (!at_end && !close_.empty() && close_.starts_with(rest)) return {};
    return finish(calls_.empty() ? value_ : end_);
  }

  CallOutcome finish(size_t length) { return {true, length, std::move(calls_)}; }

  std::string_view close_;
  const Json* known_;
  size_t value_;  // where the next value is looked for
  size_t end_;    // of the last one
  JsonScan scan_;
  std::vector<ToolCall> calls_;
};

class MistralCalls : public CallParser {
 public:
  explicit MistralCalls(std::string_view open) : open_(open), array_(open, "", nullptr) {}

  CallOutcome feed(std::string_view section, bool at_end) override {
    const size_t begin = skip(section, open_.size(), kSpace);
    if (begin == section.size()) {
      const bool give_up = at_end || begin > open_.size() + kLongestName;
      return give_up ? CallOutcome{true, begin, {}} : CallOutcome{};
    }
    if (begins_value(section[begin])) return array_.feed(section, at_end);
    if (arguments_ == section.npos) arguments_ = section.find('{', std::max(begin, looked_at_));
    if (arguments_ == section.npos) {
      looked_at_ = section.size();
      const bool too_long = section.size() - begin > kLongestName;
      return at_end || too_long ? CallOutcome{true, section.size(), {}} : CallOutcome{};
    }
    const size_t end = scan_.find_end(section, arguments_);
    if (end == section.npos) return at_end ? CallOutcome{true, section.size(), {}} : CallOutcome{};
    ToolCall call;
    std::string_view head = section.substr(begin, arguments_ - begin);
    head = head.substr(0, head.find("[ARGS]"));
    if (const size_t id = head.find("[CALL_ID]"); id != head.npos) {
      call.id = head.substr(id + std::string_view("[CALL_ID]").size());
      head = head.substr(0, id);
    }
    call.name = head.substr(0, head.find_last_not_of(kSpace) + 1);
    const std::optional<Json> json = read_call_json(section.substr(arguments_, end - arguments_));
    if (!json.has_value() || call.name.empty()) return {true, end, {}};
    call.arguments = arguments_text(*json);
    return {true, end, {std::move(call)}};
  }

 private:
  static constexpr size_t kLongestName = 512;

  std::string_view open_;
  JsonCalls array_;
  JsonScan scan_;
  size_t looked_at_ = 0;
  size_t arguments_ = std::string_view::npos;  // where they begin
};

}  // namespace

std::unique_ptr<CallParser> make_json_calls(const ReplyFormat& format, const Json&) {
  return std::make_unique<JsonCalls>(format.open, format.close, nullptr);
}

std::unique_ptr<CallParser> make_bare_json_calls(const ReplyFormat&, const Json& tools) {
  return std::make_unique<JsonCalls>("", "", &tools);
}

std::unique_ptr<CallParser> make_mistral_calls(const ReplyFormat& format, const Json&) {
  return std::make_unique<MistralCalls>(format.open);
}

}  // namespace tidal
