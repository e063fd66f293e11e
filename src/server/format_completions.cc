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
      if (call_.logprobs >= 0) one["logprobs"] = logprobs(answer);
      reply["choices"].push_back(std::move(one));
    }
    add_numbers(reply, answers, /*with_usage=*/true);
    add_verbose(reply, answers.front());
    return reply;
  }

  std::string piece(const Answer& answer, const Piece& piece) override {
    const std::string text = echo(answer) + piece.text;
    if (text.empty()) return {};
    Json one = choice(answer, text, nullptr);
    if (call_.logprobs >= 0) {
      one["logprobs"] = completion_logprobs(info_, piece.logprobs, &offsets_[answer.index]);
    }
    return sse(chunk(answer, std::move(one)));
  }

  std::string finish(const Answer& answer) override {
    Json last = chunk(answer, choice(answer, echo(answer), finish_reason(answer)));
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

  Json logprobs(const Answer& answer) const {
    std::vector<TokenLogprobs> all;
    if (call_.echo) all = answer.completion->prompt_logprobs;
    all.insert(all.end(), answer.logprobs.begin(), answer.logprobs.end());
    int64_t offset = 0;
    Json json = completion_logprobs(info_, all, &offset);
    if (call_.echo) prepend_first_token(info_, answer.prompt_tokens.front(), &json);
    return json;
  }

  // The prompt, in front of the first piece.
  std::string echo(const Answer& answer) {
    if (!call_.echo || !begun_.insert(answer.index).second) return {};
    return answer.echo_text;
  }

  std::set<int64_t> begun_;
  std::map<int64_t, int64_t> offsets_;  // of the next token in a choice's text
};

}  // namespace

std::unique_ptr<Format> make_completions_format(const GenerateCall& call, ReplyInfo info) {
  return std::make_unique<CompletionsFormat>(call, std::move(info));
}

}  // namespace tidal::server
