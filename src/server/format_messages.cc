// POST /v1/messages, Anthropic's.
#include "base/json.h"
#include "server/format.h"

namespace tidal::server {
namespace {

enum class Block { kNone, kThinking, kText, kTool };

class MessagesFormat : public Format {
 public:
  using Format::Format;

  Json whole(std::span<const Answer> answers) override {
    const Answer& answer = answers.front();
    Json content = Json::array();
    if (!answer.reasoning.empty()) {
      content.push_back({{"type", "thinking"}, {"thinking", answer.reasoning}, {"signature", ""}});
    }
    if (!answer.text.empty() || answer.tools.empty()) {
      content.push_back({{"type", "text"}, {"text", answer.text}});
    }
    for (const ToolCallDelta& tool : answer.tools) {
      const Json input = Json::parse(tool.arguments, nullptr, /*allow_exceptions=*/false);
      content.push_back({{"type", "tool_use"},
                         {"id", tool.id},
                         {"name", tool.name},
                         {"input", input.is_object() ? input : Json::object()}});
    }
    Json reply = message(answer);
    reply["content"] = std::move(content);
    reply["stop_reason"] = stop_reason(answer);
    reply["stop_sequence"] = stop_sequence(answer);
    return reply;
  }

  std::string progress(const Answer& answer) override { return begin(answer); }

  std::string piece(const Answer& answer, const Piece& piece) override {
    std::string text = begin(answer);
    if (!piece.reasoning.empty()) {
      text += open(Block::kThinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
      text += delta({{"type", "thinking_delta"}, {"thinking", piece.reasoning}});
    }
    if (!piece.text.empty()) {
      text += open(Block::kText, {{"type", "text"}, {"text", ""}});
      text += delta({{"type", "text_delta"}, {"text", piece.text}});
    }
    for (const ToolCallDelta& tool : piece.tools) {
      if (!tool.name.empty()) {
        text += open(Block::kTool, {{"type", "tool_use"},
                                    {"id", tool.id},
                                    {"name", tool.name},
                                    {"input", Json::object()}});
      }
      if (!tool.arguments.empty()) {
        text += delta({{"type", "input_json_delta"}, {"partial_json", tool.arguments}});
      }
    }
    return text;
  }

  std::string finish(const Answer& answer) override {
    std::string text = begin(answer);
    if (index_ < 0) text += open(Block::kText, {{"type", "text"}, {"text", ""}});
    text += close();
    text +=
        event("message_delta",
              {{"delta",
                {{"stop_reason", stop_reason(answer)}, {"stop_sequence", stop_sequence(answer)}}},
               {"usage", usage(answer)}});
    return text + event("message_stop", Json::object());
  }

  std::string end(std::span<const Answer>) override { return {}; }

  Json error(const ApiError& failure) override { return messages_error_json(failure); }

 protected:
  std::string_view error_name() const override { return "error"; }

 private:
  static std::string event(std::string_view name, const Json& data) {
    Json full = {{"type", name}};
    full.update(data);
    return sse(full, name);
  }

  static Json usage(const Answer& answer) {
    const Progress& progress = answer.progress;
    return {{"input_tokens", progress.prompt_tokens - progress.cached_tokens},
            {"cache_creation_input_tokens", 0},
            {"cache_read_input_tokens", progress.cached_tokens},
            {"output_tokens", progress.generated}};
  }

  Json message(const Answer& answer) const {
    return {{"id", "msg_" + info_.id},  {"type", "message"},     {"role", "assistant"},
            {"content", Json::array()}, {"model", info_.model},  {"stop_reason", nullptr},
            {"stop_sequence", nullptr}, {"usage", usage(answer)}};
  }

  std::string begin(const Answer& answer) {
    if (begun_) return {};
    begun_ = true;
    return event("message_start", {{"message", message(answer)}});
  }

  // A tool's block is always a new one.
  std::string open(Block block, Json content) {
    if (block == block_ && block != Block::kTool) return {};
    std::string text = close();
    block_ = block;
    ++index_;
    return text +
           event("content_block_start", {{"index", index_}, {"content_block", std::move(content)}});
  }

  std::string delta(Json what) const {
    return event("content_block_delta", {{"index", index_}, {"delta", std::move(what)}});
  }

  std::string close() {
    if (block_ == Block::kNone) return {};
    std::string text;
    if (block_ == Block::kThinking) {
      text += delta({{"type", "signature_delta"}, {"signature", ""}});
    }
    block_ = Block::kNone;
    return text + event("content_block_stop", {{"index", index_}});
  }

  static std::string stop_reason(const Answer& answer) {
    if (answer.completion->finish_reason == FinishReason::kLength) return "max_tokens";
    if (!answer.tools.empty()) return "tool_use";
    return stop_sequence(answer).is_null() ? "end_turn" : "stop_sequence";
  }

  static Json stop_sequence(const Answer& answer) {
    return answer.stop_string.empty() ? Json() : Json(answer.stop_string);
  }

  bool begun_ = false;
  Block block_ = Block::kNone;  // the one that is open
  int64_t index_ = -1;          // of the last one
};

}  // namespace

std::unique_ptr<Format> make_messages_format(const GenerateCall& call, ReplyInfo info) {
  return std::make_unique<MessagesFormat>(call, std::move(info));
}

}  // namespace tidal::server
