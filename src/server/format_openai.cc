#include "server/format_openai.h"

#include "tidal/version.h"

namespace tidal::server {

Json OpenAiFormat::head(bool is_chunk) const {
  return {{"id", id()},
          {"object", object(is_chunk)},
          {"created", info_.created},
          {"model", info_.model},
          {"system_fingerprint", std::string(kFingerprint) + TIDAL_VERSION},
          {"choices", Json::array()}};
}

Json OpenAiFormat::chunk(const Answer& answer, Json choice) const {
  Json reply = head(/*is_chunk=*/true);
  reply["choices"].push_back(std::move(choice));
  if (call_.continuous_usage) reply["usage"] = usage_json({&answer, 1}, call_.only_prompt);
  if (call_.timings_per_token && answer.progress.generated > 0) {
    reply["timings"] = timings_json(answer.progress);
  }
  return reply;
}

std::string OpenAiFormat::progress(const Answer& answer) {
  if (!call_.return_progress) return {};
  Json reply = chunk(answer, progress_choice(answer));
  if (call_.timings_per_token) reply["timings"] = timings_json(answer.progress);
  reply["prompt_progress"] = progress_json(answer.progress);
  return sse(reply);
}

void OpenAiFormat::add_verbose(Json& reply, const Answer& answer) const {
  if (!call_.verbose) return;
  reply["__verbose"] = {{"prompt", answer.prompt_text}, {"tokens", answer.tokens}};
}

void OpenAiFormat::add_numbers(Json& reply, std::span<const Answer> answers,
                               bool with_usage) const {
  if (with_usage) reply["usage"] = usage_json(answers, call_.only_prompt);
  reply["timings"] = timings_json(answers.front().progress);
  reply["tidal"] = tidal_json(answers.front());
}

std::string OpenAiFormat::end(std::span<const Answer> answers) {
  if (!call_.include_usage) return std::string(kSseDone);
  Json reply = head(/*is_chunk=*/true);
  add_numbers(reply, answers, /*with_usage=*/true);
  return sse(reply).append(kSseDone);
}

}  // namespace tidal::server
