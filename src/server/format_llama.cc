// POST /completion, as llama.cpp has it.
#include <cmath>

#include "server/format.h"
#include "server/logprobs.h"

namespace tidal::server {
namespace {

// "generation_settings/n_predict" out of the reply.
const Json* find_nested(const Json& reply, std::string_view path) {
  const Json* at = &reply;
  while (at != nullptr && !path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    const auto found = at->is_object() ? at->find(name) : at->end();
    at = found == at->end() ? nullptr : &*found;
  }
  return at;
}

class LlamaFormat : public Format {
 public:
  using Format::Format;

  Json whole(std::span<const Answer> answers) override {
    if (answers.size() == 1 && !call_.several_prompts) return last(answers.front(), true);
    Json replies = Json::array();
    for (const Answer& answer : answers) replies.push_back(last(answer, true));
    return replies;
  }

  std::string progress(const Answer& answer) override {
    if (!call_.return_progress) return {};
    Json reply = partial(answer, {});
    reply["prompt_progress"] = progress_json(answer.progress);
    return sse(reply);
  }

  std::string piece(const Answer& answer, const Piece& piece) override {
    return sse(partial(answer, piece));
  }

  std::string finish(const Answer& answer) override { return sse(last(answer, false)); }
  std::string end(std::span<const Answer>) override { return {}; }

 private:
  Json partial(const Answer& answer, const Piece& piece) const {
    Json reply = {{"index", answer.index},
                  {"content", piece.text},
                  {"tokens", piece.tokens},
                  {"stop", false},
                  {"id_slot", call_.slot},
                  {"tokens_predicted", answer.progress.generated},
                  {"tokens_evaluated", answer.progress.prompt_tokens}};
    if (call_.logprobs >= 0 && !piece.logprobs.empty()) {
      reply["completion_probabilities"] = probabilities(piece.logprobs);
    }
    if (call_.timings_per_token) reply["timings"] = timings_json(answer.progress);
    return reply;
  }

  Json last(const Answer& answer, bool with_text) const {
    Json reply = {
        {"index", answer.index},
        {"content", with_text ? answer.text : ""},
        {"tokens", with_text && call_.return_tokens ? Json(answer.tokens) : Json::array()},
        {"id_slot", call_.slot},
        {"stop", true},
        {"model", info_.model},
        {"tokens_predicted", answer.progress.generated},
        {"tokens_evaluated", answer.progress.prompt_tokens},
        {"generation_settings", settings_json(call_)},
        {"prompt", answer.prompt_text},
        {"has_new_line", answer.text.find('\n') != std::string::npos},
        {"truncated", truncated(answer)},
        {"stop_type", stop_type(answer)},
        {"stopping_word", answer.stop_string},
        {"tokens_cached", answer.progress.prompt_tokens + answer.progress.generated},
        {"timings", timings_json(answer.progress)},
        {"tidal", tidal_json(answer)}};
    if (with_text && call_.logprobs >= 0) {
      reply["completion_probabilities"] = probabilities(answer.logprobs);
    }
    if (call_.response_fields.empty()) return reply;
    Json chosen = Json::object();
    for (const std::string& field : call_.response_fields) {
      if (const Json* found = find_nested(reply, field)) chosen[field] = *found;
    }
    return chosen;
  }

  Json probabilities(std::span<const TokenLogprobs> logprobs) const {
    return llama_logprobs(info_, logprobs, call_.post_sampling_probs);
  }

  // The context ended it, and not a length that was asked for.
  bool truncated(const Answer& answer) const {
    return answer.completion->finish_reason == FinishReason::kLength &&
           (call_.options.max_tokens < 0 || answer.progress.generated < call_.options.max_tokens);
  }

  static std::string_view stop_type(const Answer& answer) {
    if (answer.completion->finish_reason == FinishReason::kLength) return "limit";
    return answer.stop_string.empty() ? "eos" : "word";
  }
};

}  // namespace

std::unique_ptr<Format> make_llama_format(const GenerateCall& call, ReplyInfo info) {
  return std::make_unique<LlamaFormat>(call, std::move(info));
}

}  // namespace tidal::server
