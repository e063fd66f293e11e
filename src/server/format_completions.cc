// POST /v1/completions.
#include <map>
#include <set>

#include "server/format_openai.h"
#include "server/logprobs.h"

namespace tidal::server {
namespace {

class CompletionsFormat : public OpenAiFormat {
 public:
  using OpenAiFormat::OpenAiFormat;

  Json whole(std::span<const Answer> answers) override {
    Json reply = head(/*is_chunk=*/false);
    for (const Answer& answer : answers) {
      const std::string text = call_.echo ? answer.echo_text + answer.text : answer.text;
      Json one = choice(answer, text, finish_reason(answer));
      if (call_.logprobs >= 0) one["logprobs"] = logprobs(answer, answer.logprobs, call_.echo);
      reply["choices"].push_back(std::move(one));
    }
    add_numbers(reply, answers, /*with_usage=*/true);
    add_verbose(reply, answers.front());
    return reply;
  }

  std::string piece(const Answer& answer, const Piece& piece) override {
    const bool echoes = begins_with_echo(answer);
    const std::string text = echoes ? answer.echo_text + piece.text : piece.text;
    if (text.empty()) return {};
    Json one = choice(answer, text, nullptr);
    if (call_.logprobs >= 0) one["logprobs"] = logprobs(answer, piece.logprobs, echoes);
    return sse(chunk(answer, std::move(one)));
  }

  std::string finish(const Answer& answer) override {
    const bool echoes = begins_with_echo(answer);
    Json one = choice(answer, echoes ? answer.echo_text : "", finish_reason(answer));
    if (call_.logprobs >= 0 && echoes) one["logprobs"] = logprobs(answer, {}, echoes);
    Json last = chunk(answer, std::move(one));
    if (!call_.include_usage) add_numbers(last, {&answer, 1}, /*with_usage=*/false);
    add_verbose(last, answer);
    return sse(last);
  }

 protected:
  const char* object(bool) const override { return "text_completion"; }
  std::string id() const override { return "cmpl-" + info_.id; }
  Json progress_choice(const Answer& answer) override { return choice(answer, "", nullptr); }

 private:
  static Json choice(const Answer& answer, const std::string& text, Json reason) {
    return {{"index", answer.index},
            {"text", text},
            {"logprobs", nullptr},
            {"finish_reason", std::move(reason)}};
  }

  // Of these tokens; behind those of the prompt, where it is echoed.
  Json logprobs(const Answer& answer, std::span<const TokenLogprobs> tokens, bool echoes) {
    std::vector<TokenLogprobs> all;
    if (echoes) all = answer.prompt_logprobs;
    all.insert(all.end(), tokens.begin(), tokens.end());
    int64_t& offset = offsets_[answer.index];
    Json json = completion_logprobs(info_, all, &offset);
    if (echoes) prepend_first_token(info_, answer.prompt_tokens.front(), &json, &offset);
    return json;
  }

  // The prompt stands in front of the first piece.
  bool begins_with_echo(const Answer& answer) {
    return call_.echo && begun_.insert(answer.index).second;
  }

  std::set<int64_t> begun_;             // choices whose prompt was echoed
  std::map<int64_t, int64_t> offsets_;  // of the next token in a choice's text
};

}  // namespace

std::unique_ptr<Format> make_completions_format(const GenerateCall& call, ReplyInfo info) {
  return std::make_unique<CompletionsFormat>(call, std::move(info));
}

}  // namespace tidal::server
