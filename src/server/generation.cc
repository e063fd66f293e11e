#include "server/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/json.h"
#include "server/http_text.h"

namespace tidal::server {
namespace {

double milliseconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

void add(Piece& piece, const ChatDelta& delta) {
  piece.text += delta.content;
  piece.reasoning += delta.reasoning;
  piece.tools.insert(piece.tools.end(), delta.tool_calls.begin(), delta.tool_calls.end());
}

ApiError too_long(int64_t n_prompt, int64_t context) {
  ApiError error(400,
                 fmt::format("the prompt has {} tokens, which exceeds the available context size "
                             "of {} tokens: shorten it, or start the server with a larger "
                             "--ctx-size",
                             n_prompt, context),
                 "", "exceed_context_size_error");
  error.details = {{"n_prompt_tokens", n_prompt}, {"n_ctx", context}};
  return error;
}

// What went wrong while a request ran is its own fault where an option of requests is named.
ApiError failed(const std::string& message) {
  std::string field;
  const std::string spelled = respell(message, [&](const Option& option) {
    if (option.group == OptionGroup::kGeneration) field = option.name;
    return "'" + option.name + "'";
  });
  return {field.empty() ? 500 : 400, spelled, field};
}

}  // namespace

Generation::Generation(Service& service, GenerateCall call, const Responder& responder)
    : service_(service), call_(std::move(call)), responder_(responder) {
  format_ =
      make_format(call_, {.id = random_id(),
                          .created = std::time(nullptr),
                          .model = service.model_name(),
                          .piece = [&service](int32_t token) { return service.piece(token); }});
  call_.verbose = call_.verbose || service.options().verbose;
  call_.end_token = service.engine().info().eos;
  service_.enter(this);
}

Generation::~Generation() { service_.leave(this); }

int64_t Generation::room_for(const ChatPrompt& prompt) const {
  const int64_t context = service_.request_context();
  const auto n_prompt = static_cast<int64_t>(prompt.tokens.size());
  if (n_prompt == 0) refuse("prompt", "the prompt is empty");
  if (n_prompt >= context) throw too_long(n_prompt, context);
  return context - n_prompt;
}

void Generation::start(const std::vector<ChatPrompt>& prompts) {
  std::vector<Request> requests;
  for (size_t p = 0; p < prompts.size(); ++p) {
    for (int64_t i = 0; i < std::max(call_.n, call_.best_of); ++i) {
      const size_t index = requests.size();
      Answer& answer = answers_.emplace_back();
      answer.index = static_cast<int64_t>(index);
      answer.prompt = p;
      answer.prompt_tokens = prompts[p].tokens;
      for (const int32_t token : answer.prompt_tokens) answer.prompt_text += service_.piece(token);
      if (call_.echo) answer.echo_text = service_.engine().decode(answer.prompt_tokens);
      answer.progress.prompt_tokens = std::ssize(answer.prompt_tokens);
      readers_.emplace_back(prompts[p].syntax);
      requests.push_back(make_request(prompts[p], index));
      requests.back().sampling.seed += static_cast<uint64_t>(i);
    }
  }
  times_.resize(requests.size());
  pieces_.resize(requests.size());
  ended_early_.resize(requests.size());
  try {
    for (Request& request : requests) {
      const RequestId id = service_.engine().submit(std::move(request));
      const std::lock_guard lock(mutex_);
      requests_.push_back(id);
    }
  } catch (...) {
    cancel();
    throw;
  }
  service_.writer().post([self = shared_from_this()] { self->open(); });
  responder_.on_close([self = shared_from_this()] { self->cancel(); });
}

Request Generation::make_request(const ChatPrompt& prompt, size_t index) {
  const int64_t room = room_for(prompt);
  Request request = tidal::make_request(call_.options);
  request.prompt = prompt.tokens;
  request.max_tokens = request.max_tokens < 0 ? room : std::min(room, request.max_tokens);
  request.stop.insert(request.stop.end(), prompt.stop.begin(), prompt.stop.end());
  request.stop_tokens = call_.stop_tokens;
  request.keep_special = prompt.keep_special;
  request.grammar = call_.grammar;
  if (!prompt.structural_tag.empty()) {
    request.grammar = {GrammarKind::kStructuralTag, prompt.structural_tag};
  }
  request.logprobs = static_cast<int32_t>(call_.logprobs);
  request.sampled_logprobs = call_.post_sampling_probs;
  request.prompt_logprobs = call_.echo && call_.logprobs >= 0;
  if (call_.best_of > call_.n) request.logprobs = std::max(0, request.logprobs);
  request.sampling.logit_bias = logit_bias();
  if (!call_.owner.empty()) {
    request.cache_salt =
        fmt::format("{} {} {}", call_.owner.size(), call_.owner, request.cache_salt);
  }
  request.cache_salt = service_.slot_salt(call_.slot, request.cache_salt);
  const auto self = shared_from_this();
  request.on_prefill = [self, index](int64_t done, int64_t) {
    self->post([self = self.get(), index, done, now = Clock::now()] {
      self->on_prompt(index, done, now);
    });
  };
  request.on_token = [self, index](const TokenEvent& event) {
    Piece piece;
    piece.text = event.text;
    if (event.token >= 0) piece.tokens.push_back(event.token);
    if (event.logprobs != nullptr) piece.logprobs.push_back(*event.logprobs);
    piece.prompt_logprobs.assign(event.prompt_logprobs.begin(), event.prompt_logprobs.end());
    self->post([self = self.get(), index, piece = std::move(piece), now = Clock::now()] {
      self->on_token(index, piece, now);
    });
  };
  request.on_finish = [self, index](const Completion& completion) {
    self->post([self = self.get(), index, completion, now = Clock::now()] {
      self->on_finish(index, completion, now);
    });
  };
  return request;
}

// A text's bias is that of each of its tokens.
std::vector<std::pair<int32_t, float>> Generation::logit_bias() const {
  std::vector<std::pair<int32_t, float>> biases;
  for (const LogitBias& bias : call_.logit_bias) {
    if (const auto* token = std::get_if<int32_t>(&bias.token)) {
      biases.emplace_back(*token, bias.bias);
      continue;
    }
    const std::string& text = std::get<std::string>(bias.token);
    for (const int32_t token : service_.engine().encode(text, false, false)) {
      biases.emplace_back(token, bias.bias);
    }
  }
  return biases;
}

void Generation::cancel() {
  const std::lock_guard lock(mutex_);
  for (const RequestId id : requests_) service_.engine().cancel(id);
}

void Generation::post(std::function<void()> event) {
  service_.writer().post([self = shared_from_this(), event = std::move(event)]() mutable {
    if (!self->is_open_) {
      self->early_.push_back(std::move(event));
    } else if (!self->ended_) {
      event();
    }
  });
}

void Generation::open() {
  is_open_ = true;
  if (call_.stream) {
    responder_.begin(200,
                     {{"content-type", "text/event-stream; charset=utf-8"},
                      {"cache-control", "no-cache"},
                      {"x-accel-buffering", "no"}},
                     ":\n\n");
  } else if (service_.options().late.count() > 0) {
    responder_.begin_late(200, json_reply(200, {}).headers, " ", service_.options().late);
  }
  for (const auto& event : std::exchange(early_, {})) {
    if (!ended_) event();
  }
}

void Generation::on_prompt(size_t index, int64_t done, Clock::time_point now) {
  Progress& progress = answers_[index].progress;
  Clock::time_point& prompt = times_[index].prompt;
  if (prompt == Clock::time_point{}) {  // nothing was read yet: what is there is reused
    prompt = now;
    progress.cached_tokens = done;
  }
  progress.read_tokens = done;
  progress.prompt_ms = milliseconds(now - prompt);
  progress.since_ms = milliseconds(now - began_);
  if (call_.stream) responder_.write(format_->progress(answers_[index]));
}

void Generation::on_token(size_t index, const Piece& more, Clock::time_point now) {
  if (call_.only_prompt) return;
  Answer& answer = answers_[index];
  Times& times = times_[index];
  if (times.first == Clock::time_point{}) times.first = now;
  answer.progress.generate_ms = milliseconds(now - times.first);
  if (!more.tokens.empty()) {
    if (times.last == Clock::time_point{}) {
      service_.metrics().first_token(milliseconds(now - began_));
    } else {
      service_.metrics().next_token(milliseconds(now - times.last));
    }
    times.last = now;
  }
  Piece& piece = pieces_[index];
  if (!more.prompt_logprobs.empty()) answer.prompt_logprobs = more.prompt_logprobs;
  answer.progress.generated += std::ssize(more.tokens);
  piece.tokens.insert(piece.tokens.end(), more.tokens.begin(), more.tokens.end());
  piece.logprobs.insert(piece.logprobs.end(), more.logprobs.begin(), more.logprobs.end());
  add(piece, readers_[index].push(more.text));
  if (!piece.empty()) flush(index);
  if (readers_[index].done()) end_early(index, FinishReason::kStop);
  if (call_.max_time_ms > 0 &&
      answer.progress.generate_ms > static_cast<double>(call_.max_time_ms)) {
    end_early(index, FinishReason::kLength);
  }
}

void Generation::end_early(size_t index, FinishReason reason) {
  if (ended_early_[index].has_value()) return;
  ended_early_[index] = reason;
  const std::lock_guard lock(mutex_);
  service_.engine().cancel(requests_[index]);
}

void Generation::flush(size_t index) {
  Answer& answer = answers_[index];
  const Piece piece = std::exchange(pieces_[index], {});
  answer.text += piece.text;
  answer.reasoning += piece.reasoning;
  answer.tools.insert(answer.tools.end(), piece.tools.begin(), piece.tools.end());
  answer.tokens.insert(answer.tokens.end(), piece.tokens.begin(), piece.tokens.end());
  answer.logprobs.insert(answer.logprobs.end(), piece.logprobs.begin(), piece.logprobs.end());
  if (call_.stream && !piece.empty()) responder_.write(format_->piece(answer, piece));
}

void Generation::on_finish(size_t index, const Completion& completion, Clock::time_point now) {
  if (completion.finish_reason == FinishReason::kError) {
    return fail(failed(completion.error));
  }
  if (completion.finish_reason == FinishReason::kCancelled && !ended_early_[index].has_value()) {
    return fail({503, "the request was cancelled"});
  }
  if (!call_.only_prompt) add(pieces_[index], readers_[index].finish());
  flush(index);
  Answer& answer = answers_[index];
  answer.completion = completion;
  answer.prompt_logprobs = completion.prompt_logprobs;
  if (ended_early_[index].has_value()) answer.completion->finish_reason = *ended_early_[index];
  answer.warning = readers_[index].reply().warning;
  answer.stop_string = stop_string(completion);
  Progress& progress = answer.progress;
  progress.cached_tokens = completion.reused_tokens;
  progress.read_tokens = progress.prompt_tokens;
  progress.generated = call_.only_prompt ? 0 : std::ssize(completion.tokens);
  progress.prompt_ms = completion.prefill_ms;
  progress.generate_ms = progress.generated > 1 ? completion.decode_ms : 0;
  progress.since_ms = milliseconds(now - began_);
  progress.rows = completion.rows;
  progress.speculation = completion.speculation;
  service_.metrics().finished(progress);
  if (call_.stream) responder_.write(format_->finish(answer));
  if (++n_finished_ < answers_.size()) return;
  if (call_.stream) {
    responder_.write(format_->end(answers_));
    responder_.end();
  } else {
    if (call_.best_of > call_.n) keep_best();
    responder_.send(json_reply(200, dump(format_->whole(answers_))));
  }
  ended_ = true;
}

// Of the answers to each prompt the n whose tokens are the likeliest on average.
void Generation::keep_best() {
  const auto mean = [](const Answer& answer) {
    double sum = 0;
    for (const TokenLogprobs& token : answer.logprobs) sum += token.drawn.logprob;
    return sum / static_cast<double>(std::max<size_t>(1, answer.logprobs.size()));
  };
  std::ranges::stable_sort(answers_, [&](const Answer& a, const Answer& b) {
    return a.prompt != b.prompt ? a.prompt < b.prompt : mean(a) > mean(b);
  });
  std::vector<Answer> best;
  for (size_t i = 0; i < answers_.size(); ++i) {
    if (static_cast<int64_t>(i) % call_.best_of < call_.n) best.push_back(std::move(answers_[i]));
  }
  for (size_t i = 0; i < best.size(); ++i) best[i].index = static_cast<int64_t>(i);
  answers_ = std::move(best);
}

// The stop string that the text ends before: it is still in the tokens.
std::string Generation::stop_string(const Completion& completion) const {
  if (completion.finish_reason != FinishReason::kStop || call_.options.stop.empty()) return {};
  std::string all;
  for (const int32_t token : completion.tokens) all += service_.piece(token);
  for (const std::string& stop : call_.options.stop) {
    const size_t at = all.size() < stop.size() ? all.npos : all.rfind(stop);
    if (at != all.npos && at >= completion.text.size()) return stop;
  }
  return {};
}

void Generation::fail(const ApiError& error) {
  ended_ = true;
  cancel();
  service_.metrics().failed();
  if (call_.stream) {
    responder_.write(format_->error_event(error));
    responder_.end();
  } else {
    responder_.send(json_reply(error.status, dump(format_->error(error))));
  }
}

}  // namespace tidal::server
