// POST /v1/chat/completions.
#include <set>

#include "server/format_openai.h"
#include "server/logprobs.h"

namespace tidal::server {
namespace {

Json tool_json(const ToolCallDelta& tool, bool with_index) {
  Json function = Json::object();
  if (!tool.name.empty()) function["name"] = tool.name;
  function["arguments"] = tool.arguments;
  Json json = Json::object();
  if (with_index) json["index"] = tool.index;
  if (!tool.name.empty()) {
    json["id"] = tool.id;
    json["type"] = "function";
  }
  json["function"] = std::move(function);
  return json;
}

class ChatFormat : public OpenAiFormat {
 public:
  using OpenAiFormat::OpenAiFormat;

  Json whole(std::span<const Answer> answers) override {
    Json reply = head(/*is_chunk=*/false);
    for (const Answer& answer : answers) {
      reply["choices"].push_back({{"index", answer.index},
                                  {"message", message(answer)},
                                  {"logprobs", logprobs(answer.logprobs)},
                                  {"finish_reason", finish_reason(answer)}});
    }
    add_numbers(reply, answers, /*with_usage=*/true);
    add_verbose(reply, answers.front());
    return reply;
  }

  std::string piece(const Answer& answer, const Piece& piece) override {
    std::string text = role(answer);
    Json probabilities = logprobs(piece.logprobs);  // of the whole piece, so with its first part
    const auto add = [&](Json delta) {
      Json part = choice(answer, std::move(delta), nullptr);
      if (call_.logprobs >= 0) part["logprobs"] = std::exchange(probabilities, Json());
      text += sse(chunk(answer, std::move(part)));
    };
    if (!piece.reasoning.empty()) add({{"reasoning_content", piece.reasoning}});
    if (!piece.text.empty()) add({{"content", piece.text}});
    for (const ToolCallDelta& tool : piece.tools) {
      add({{"tool_calls", Json::array({tool_json(tool, /*with_index=*/true)})}});
    }
    return text;
  }

  std::string finish(const Answer& answer) override {
    Json last = chunk(answer, choice(answer, Json::object(), finish_reason(answer)));
    if (!call_.include_usage) add_numbers(last, {&answer, 1}, /*with_usage=*/false);
    add_verbose(last, answer);
    return role(answer) + sse(last);
  }

 protected:
  const char* object(bool is_chunk) const override {
    return is_chunk ? "chat.completion.chunk" : "chat.completion";
  }
  std::string id() const override { return "chatcmpl-" + info_.id; }

  Json progress_choice(const Answer& answer) override {
    if (!begun_.insert(answer.index).second) return choice(answer, Json::object(), nullptr);
    return choice(answer, {{"role", "assistant"}, {"content", nullptr}}, nullptr);
  }

 private:
  static Json choice(const Answer& answer, Json delta, Json reason) {
    return {
        {"index", answer.index}, {"delta", std::move(delta)}, {"finish_reason", std::move(reason)}};
  }

  Json logprobs(std::span<const TokenLogprobs> tokens) const {
    if (call_.logprobs < 0) return {};
    return chat_logprobs(info_, tokens, call_.post_sampling_probs);
  }

  // What every stream begins with, once for each choice.
  std::string role(const Answer& answer) {
    if (!begun_.insert(answer.index).second) return {};
    Json reply = head(/*is_chunk=*/true);
    reply["choices"].push_back(
        choice(answer, {{"role", "assistant"}, {"content", nullptr}}, nullptr));
    return sse(reply);
  }

  static Json message(const Answer& answer) {
    Json json = {{"role", "assistant"}};
    const bool only_tools = answer.text.empty() && !answer.tools.empty();
    json["content"] = only_tools ? Json() : Json(answer.text);
    if (!answer.reasoning.empty()) json["reasoning_content"] = answer.reasoning;
    for (const ToolCallDelta& tool : answer.tools) {
      json["tool_calls"].push_back(tool_json(tool, /*with_index=*/false));
    }
    return json;
  }

  std::set<int64_t> begun_;  // choices whose role was sent
};

}  // namespace

std::unique_ptr<Format> make_chat_format(const GenerateCall& call, ReplyInfo info) {
  return std::make_unique<ChatFormat>(call, std::move(info));
}

}  // namespace tidal::server
