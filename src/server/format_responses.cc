// POST /v1/responses.
#include <ctime>

#include "server/format.h"

namespace tidal::server {
namespace {

enum class Item { kNone, kReasoning, kMessage, kCall };

class ResponsesFormat : public Format {
 public:
  using Format::Format;

  Json whole(std::span<const Answer> answers) override {
    const Answer& answer = answers.front();
    if (!answer.reasoning.empty()) add_item(Item::kReasoning, answer.reasoning, {});
    if (!answer.text.empty() || answer.tools.empty()) add_item(Item::kMessage, answer.text, {});
    for (const ToolCallDelta& tool : answer.tools) add_item(Item::kCall, tool.arguments, tool);
    return finished(answer);
  }

  std::string progress(const Answer& answer) override {
    std::string text = begin();
    if (!call_.return_progress) return text;
    Json data = {{"response", response("in_progress")},
                 {"prompt_progress", progress_json(answer.progress)}};
    return text + event("response.in_progress", data);
  }

  std::string piece(const Answer& answer, const Piece& piece) override {
    std::string text = begin();
    if (!piece.reasoning.empty()) {
      text += open(Item::kReasoning, {});
      text += delta("response.reasoning_text.delta", piece.reasoning, answer);
    }
    if (!piece.text.empty()) {
      text += open(Item::kMessage, {});
      text += delta("response.output_text.delta", piece.text, answer);
    }
    for (const ToolCallDelta& tool : piece.tools) {
      if (!tool.name.empty()) text += open(Item::kCall, tool);
      if (!tool.arguments.empty()) {
        text += delta("response.function_call_arguments.delta", tool.arguments, answer);
      }
    }
    return text;
  }

  std::string finish(const Answer& answer) override {
    std::string text = begin();
    if (output_.empty() && item_ == Item::kNone) text += open(Item::kMessage, {});
    text += close();
    Json data = {{"response", finished(answer)}, {"timings", timings_json(answer.progress)}};
    return text + event("response.completed", data);
  }

  std::string end(std::span<const Answer>) override { return {}; }

 protected:
  std::string_view error_name() const override { return "error"; }

 private:
  std::string event(std::string_view name, const Json& data) {
    Json full = {{"type", name}, {"sequence_number", sequence_++}};
    full.update(data);
    return sse(full, name);
  }

  std::string begin() {
    if (sequence_ > 0) return {};
    std::string text = event("response.created", {{"response", response("in_progress")}});
    return text + event("response.in_progress", {{"response", response("in_progress")}});
  }

  std::string id_of(Item item) const {
    const char* prefix = item == Item::kReasoning ? "rs_" : item == Item::kMessage ? "msg_" : "fc_";
    return prefix + info_.id + std::to_string(output_.size());
  }

  static Json text_part(Item item, const std::string& text) {
    if (item == Item::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
    return {{"type", "output_text"},
            {"annotations", Json::array()},
            {"logprobs", Json::array()},
            {"text", text}};
  }

  Json item_json(Item item, const std::string& text, const ToolCallDelta& tool, bool done) const {
    const char* status = done ? "completed" : "in_progress";
    Json parts = Json::array();
    if (done && item != Item::kCall) parts.push_back(text_part(item, text));
    switch (item) {
      case Item::kReasoning:
        return {{"id", id_of(item)}, {"type", "reasoning"},     {"summary", Json::array()},
                {"content", parts},  {"encrypted_content", ""}, {"status", status}};
      case Item::kCall:
        return {{"id", id_of(item)}, {"type", "function_call"}, {"call_id", tool.id},
                {"name", tool.name}, {"arguments", text},       {"status", status}};
      default:
        return {{"id", id_of(item)},
                {"type", "message"},
                {"role", "assistant"},
                {"content", parts},
                {"status", status}};
    }
  }

  void add_item(Item item, const std::string& text, const ToolCallDelta& tool) {
    output_.push_back(item_json(item, text, tool, /*done=*/true));
  }

  // The item that text goes into from now on; a call always begins a new one.
  std::string open(Item item, const ToolCallDelta& tool) {
    if (item == item_ && item != Item::kCall) return {};
    std::string text = close();
    item_ = item;
    tool_ = tool;
    text += event("response.output_item.added",
                  {{"output_index", output_.size()}, {"item", item_json(item, "", tool, false)}});
    if (item == Item::kMessage) {
      text += event("response.content_part.added", place({{"part", text_part(item, "")}}));
    }
    return text;
  }

  // Where in the output an event belongs.
  Json place(const Json& data) const {
    Json full = {{"item_id", id_of(item_)}, {"output_index", output_.size()}};
    if (item_ != Item::kCall) full["content_index"] = 0;
    full.update(data);
    return full;
  }

  std::string delta(std::string_view name, const std::string& text, const Answer& answer) {
    text_ += text;
    Json data = place({{"delta", text}});
    if (item_ == Item::kMessage) data["logprobs"] = Json::array();
    if (call_.timings_per_token) data["timings"] = timings_json(answer.progress);
    return event(name, data);
  }

  std::string close() {
    if (item_ == Item::kNone) return {};
    std::string text;
    if (item_ == Item::kMessage) {
      text +=
          event("response.output_text.done", place({{"text", text_}, {"logprobs", Json::array()}}));
      text += event("response.content_part.done", place({{"part", text_part(item_, text_)}}));
    } else if (item_ == Item::kReasoning) {
      text += event("response.reasoning_text.done", place({{"text", text_}}));
    } else {
      text += event("response.function_call_arguments.done",
                    place({{"name", tool_.name}, {"arguments", text_}}));
    }
    Json item = item_json(item_, text_, tool_, /*done=*/true);
    text += event("response.output_item.done", {{"output_index", output_.size()}, {"item", item}});
    output_.push_back(std::move(item));
    item_ = Item::kNone;
    text_.clear();
    return text;
  }

  Json response(const char* status) const {
    return {{"id", "resp_" + info_.id},
            {"object", "response"},
            {"created_at", info_.created},
            {"status", status},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", nullptr},
            {"metadata", Json::object()},
            {"model", info_.model},
            {"output", Json::array()},
            {"parallel_tool_calls", true},
            {"temperature", call_.options.sampling.temperature},
            {"tool_choice", "auto"},
            {"tools", Json::array()},
            {"top_p", call_.options.sampling.top_p}};
  }

  Json finished(const Answer& answer) const {
    const bool cut = answer.completion->finish_reason == FinishReason::kLength;
    Json reply = response(cut ? "incomplete" : "completed");
    if (cut) reply["incomplete_details"] = {{"reason", "max_output_tokens"}};
    reply["completed_at"] = std::time(nullptr);
    reply["output"] = output_;
    const Progress& progress = answer.progress;
    reply["usage"] = {{"input_tokens", progress.prompt_tokens},
                      {"input_tokens_details",
                       {{"cached_tokens", progress.cached_tokens}, {"cache_write_tokens", 0}}},
                      {"output_tokens", progress.generated},
                      {"output_tokens_details", {{"reasoning_tokens", 0}}},
                      {"total_tokens", progress.prompt_tokens + progress.generated}};
    reply["tidal"] = tidal_json(answer);
    return reply;
  }

  int64_t sequence_ = 0;
  Json output_ = Json::array();  // items that are complete
  Item item_ = Item::kNone;      // the one that is open
  ToolCallDelta tool_;
  std::string text_;  // of it, so far
};

}  // namespace

std::unique_ptr<Format> make_responses_format(const GenerateCall& call, ReplyInfo info) {
  return std::make_unique<ResponsesFormat>(call, std::move(info));
}

}  // namespace tidal::server
