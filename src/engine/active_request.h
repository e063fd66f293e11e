// ActiveRequest: a request on its way through the engine, from submit() to its completion.
//
// Owned by the engine and touched only inside its step.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "attention/method.h"
#include "engine/stop_matcher.h"
#include "runtime/sampler.h"
#include "runtime/sequence.h"
#include "text/tokenizer.h"
#include "tidal/engine.h"

namespace tidal {

struct ActiveRequest {
  using Clock = std::chrono::steady_clock;

  RequestId id = 0;
  Request request{};
  std::shared_ptr<const AttentionMethod> method{};
  int64_t max_length = 0;              // tokens it may reach, prompt included
  std::optional<Sequence> sequence{};  // while admitted

  Sampler sampler;
  StreamDecoder decoder;
  StopMatcher stop;
  Completion completion{};
  std::string callback_error{};  // what a callback threw; none is called any more but on_finish
  Clock::time_point started{};   // first chunk
  Clock::time_point first_token{};

  int64_t n_prompt() const { return static_cast<int64_t>(request.prompt.size()); }
};

}  // namespace tidal
