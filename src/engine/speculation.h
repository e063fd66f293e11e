// Speculation: how lossless requests get several tokens out of one pass of full attention.
//
// Requests draft together, a token each in a step, and verify together, so that a step is of one
// kind and its time says what that kind costs. A draft is drawn from the method's logits by a copy
// of the request's sampler, with the random numbers that the token itself will be drawn with. Where
// the text repeats itself, drafts are what followed the last time: they cost no step.
//
// What it decides changes no token, only how soon they come. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/active_request.h"
#include "engine/draft_length.h"
#include "engine/scheduler.h"
#include "text/tokenizer.h"

namespace tidal {

class Speculation {
 public:
  explicit Speculation(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  using Requests = std::span<const std::unique_ptr<ActiveRequest>>;

  // Before a step: what each lossless request does in it.
  void direct(Requests running);
  // After a step in which all that was scheduled ran.
  void measured(Requests running, std::span<const Scheduled> scheduled, double seconds);

  // What came of a draft step: one more draft, or none.
  void add_draft(ActiveRequest& request, std::span<const float> logits);
  // Before a request's own sampler draws: as if there were no drafts.
  static void settle(ActiveRequest& request);
  // The token that was drafted first is, or is not, the one that comes.
  void judge(ActiveRequest& request, bool right) const;
  void count_token(ActiveRequest& request) const;

 private:
  void begin(ActiveRequest& request, int32_t most);
  int32_t pick_draft(ActiveRequest& request, std::span<const float> logits) const;

  const Tokenizer& tokenizer_;
  DraftLength length_;
  int32_t left_ = 0;  // draft steps of this round
  std::vector<ActiveRequest*> decoding_;
};

// What followed the last tokens where as many of them as possible came before: up to n tokens,
// none when not even `least` of them did.
std::span<const int32_t> what_followed(std::span<const int32_t> tokens, int64_t least, int64_t n);

}  // namespace tidal
