// ActiveRequest: a request on its way through the engine, from submit() to its completion.
//
// Touched only inside the engine's step, but for its stop flag. It may be taken out of the cache
// and come back: what it has generated stays, and its tokens are run again as they were.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attention/method.h"
#include "engine/grammar.h"
#include "engine/stop_matcher.h"
#include "runtime/sampler.h"
#include "runtime/sequence.h"
#include "text/tokenizer.h"
#include "tidal/engine.h"

namespace tidal {

// What a lossless request is about to say, unless full attention says otherwise.
struct Drafting {
  static constexpr double kExpectedRepeats = 0.6;

  std::optional<Sampler> sampler;  // draws drafts of this round
  int32_t in_grammar = 0;          // of them, accepted by the grammar so far
  bool begun = false;              // this round
  bool over = false;               // no more in it
  bool repeats = false;            // they are what followed before, not the method's
  double acceptance = 0.8;         // share that was right of late
  double repeat_acceptance = kExpectedRepeats;
  int64_t drafted = 0, accepted = 0;
  double full_seconds = 0;  // in which full attention would have come as far
};

struct ActiveRequest {
  using Clock = std::chrono::steady_clock;

  ActiveRequest(Request asked, std::shared_ptr<const AttentionMethod> attention,
                int64_t most_tokens, Sampler own_sampler, StreamDecoder own_decoder);

  RequestId id = 0;
  Request request;
  std::shared_ptr<const AttentionMethod> method;
  int64_t max_length;                // tokens it may reach, prompt included
  std::optional<Sequence> sequence;  // while admitted
  int64_t since = -1;                // when it was first admitted, by the scheduler's clock

  Sampler sampler;
  std::optional<GrammarMatcher> grammar;
  std::optional<Drafting> drafting;  // of a lossless request
  std::vector<int32_t> ends;         // tokens that may not come before min_tokens
  StreamDecoder decoder;
  StopMatcher stop;
  Completion completion;
  std::string callback_error;   // what a callback threw; none is called any more but on_finish
  Clock::time_point started{};  // first chunk
  Clock::time_point first_token{};
  std::shared_ptr<std::atomic<bool>> stop_flag = std::make_shared<std::atomic<bool>>(false);

  static RequestId id_of(const std::unique_ptr<ActiveRequest>& request) { return request->id; }
  int64_t n_prompt() const { return static_cast<int64_t>(request.prompt.size()); }
  // Tokens it has so far, prompt included.
  int64_t length() const { return n_prompt() + std::ssize(completion.tokens); }
  // Its next token may end it; a stop string may end in the text of its last one.
  // ahead: tokens that are drafted.
  bool may_end(int64_t ahead = 0) const {
    return std::ssize(completion.tokens) + ahead >= request.min_tokens;
  }
  bool may_stop() const { return std::ssize(completion.tokens) > request.min_tokens; }
  // What it says of its prompt's tokens is still to come.
  bool wants_prompt_logprobs() const {
    return request.prompt_logprobs && std::ssize(completion.prompt_logprobs) + 1 < n_prompt();
  }
  // Whose rows it may share; null: nobody's.
  const std::string* salt() const { return request.cache_prompt ? &request.cache_salt : nullptr; }

  // Adds to the completion's text and calls on_token. token -1: text that was held back.
  void emit(int32_t token, const std::string& text);
  // Gives up the sequence, says in the completion how it ended, and calls on_finish. What that
  // throws is logged.
  void finish(FinishReason reason);

  // A callback that throws ends its own request and no other.
  template <typename Callback, typename... Arguments>
  void call(const Callback& callback, Arguments&&... arguments) {
    if (!callback || !callback_error.empty()) return;
    try {
      callback(std::forward<Arguments>(arguments)...);
    } catch (const std::exception& error) {
      callback_threw(error.what());
    } catch (...) {
      callback_threw(nullptr);
    }
  }

 private:
  void callback_threw(const char* what);
};

}  // namespace tidal
