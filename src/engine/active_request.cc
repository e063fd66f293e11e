#include "engine/active_request.h"

#include <fmt/format.h>

#include "base/log.h"

namespace tidal {
namespace {

double milliseconds(ActiveRequest::Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

ActiveRequest::ActiveRequest(Request asked, std::shared_ptr<const AttentionMethod> attention,
                             int64_t most_tokens, Sampler own_sampler, StreamDecoder own_decoder)
    : request(std::move(asked)),
      method(std::move(attention)),
      max_length(most_tokens),
      sampler(std::move(own_sampler)),
      decoder(std::move(own_decoder)),
      stop(request.stop) {
  completion.prompt_tokens = n_prompt();
  completion.method = method->name();
  completion.plan = method->plan_line();
}

void ActiveRequest::emit(int32_t token, const std::string& text) {
  completion.text += text;
  const auto& all = completion.logprobs;
  TokenEvent event{.token = token, .text = text, .logprobs = nullptr, .prompt_logprobs = {}};
  if (token >= 0 && !all.empty()) event.logprobs = &all.back();
  if (token >= 0 && completion.tokens.size() == 1) {
    event.prompt_logprobs = completion.prompt_logprobs;
  }
  call(request.on_token, event);
}

void ActiveRequest::finish(FinishReason reason) {
  const std::string rest = stop.push(decoder.flush(), may_stop()) + stop.flush();
  if (!rest.empty()) emit(-1, rest);
  completion.finish_reason = reason;
  if (!callback_error.empty()) {
    completion.finish_reason = FinishReason::kError;
    completion.error = std::exchange(callback_error, {});
  }
  if (first_token != Clock::time_point{}) {
    completion.prefill_ms = milliseconds(first_token - started);
    completion.decode_ms = milliseconds(Clock::now() - first_token);
  }
  if (drafting.has_value()) {
    completion.speculation = {.on = true,
                              .drafted = drafting->drafted,
                              .accepted = drafting->accepted,
                              .full_ms = 1e3 * drafting->full_seconds};
  }
  if (sequence.has_value()) {
    completion.rows = sequence->rows();
    completion.corrections = sequence->corrections();
    sequence.reset();
  }
  call(request.on_finish, completion);
  if (!callback_error.empty()) spdlog::warn("{}", callback_error);
}

void ActiveRequest::callback_threw(const char* what) {
  callback_error = what != nullptr
                       ? fmt::format("a callback threw: {}", what)
                       : std::string("a callback threw something that is not an exception");
}

}  // namespace tidal
