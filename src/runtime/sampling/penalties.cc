#include "runtime/sampling/penalties.h"

namespace tidal {

bool Penalties::is_on(const SamplingOptions& options) {
  return options.repeat_last_n != 0 &&
         (options.repeat_penalty != 1 || options.presence_penalty != 0 ||
          options.frequency_penalty != 0);
}

Penalties::Penalties(const SamplingOptions& options, int32_t vocab_size)
    : repeat_(options.repeat_penalty),
      presence_(options.presence_penalty),
      frequency_(options.frequency_penalty),
      last_n_(options.repeat_last_n),
      place_(static_cast<size_t>(vocab_size), -1) {
  seen_.reserve(static_cast<size_t>(vocab_size));
}

void Penalties::accept(std::span<const int32_t> tokens) {
  const int32_t token = tokens.back();
  int32_t& place = place_[static_cast<size_t>(token)];
  if (place < 0) {
    place = static_cast<int32_t>(seen_.size());
    seen_.push_back({token, 0});
  }
  ++seen_[static_cast<size_t>(place)].count;
  const auto last_n = static_cast<size_t>(last_n_);  // -1: beyond any length
  if (tokens.size() > last_n) forget(tokens[tokens.size() - 1 - last_n]);
}

void Penalties::forget(int32_t token) {
  int32_t& place = place_[static_cast<size_t>(token)];
  Seen& seen = seen_[static_cast<size_t>(place)];
  if (--seen.count > 0) return;
  seen = seen_.back();
  place_[static_cast<size_t>(seen.id)] = place;
  place = -1;
  seen_.pop_back();
}

void Penalties::apply(std::span<float> logits) const {
  for (const Seen& seen : seen_) {
    float& logit = logits[static_cast<size_t>(seen.id)];
    logit = logit <= 0 ? logit * repeat_ : logit / repeat_;
    logit -= static_cast<float>(seen.count) * frequency_ + presence_;
  }
}

}  // namespace tidal
