#include "runtime/sampling/dry.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/sampling/check_sampling.h"

namespace tidal {
namespace {

constexpr size_t kLongestTail = 20;  // tokens

// The breakers of `text` that the token which spells `word` begins.
void add_breakers(const Tokenizer& tokenizer, TokenId token, std::string_view word,
                  std::string_view text, std::vector<DryBreaker>& breakers) {
  if (word.find(text) != word.npos) return breakers.push_back({token, {}});
  for (size_t at = word.find(text[0]); at != word.npos; at = word.find(text[0], at + 1)) {
    const size_t n = word.size() - at;  // less than text.size(), where the two agree
    if (!text.starts_with(word.substr(at))) continue;
    std::vector<TokenId> tail = tokenizer.encode(text.substr(n), false, false);
    if (tail.size() > kLongestTail) tail.resize(kLongestTail);
    breakers.push_back({token, std::move(tail)});
  }
}

bool before(const DryBreaker& a, const DryBreaker& b) {
  return a.head != b.head ? a.head < b.head : a.tail < b.tail;
}

}  // namespace

std::vector<DryBreaker> find_dry_breakers(const Tokenizer& tokenizer,
                                          std::span<const std::string> texts) {
  std::vector<DryBreaker> breakers;
  for (TokenId token = 0; token < tokenizer.vocab_size(); ++token) {
    const std::string word = tokenizer.decode({&token, 1}, /*keep_special=*/true);
    for (const std::string& text : texts) add_breakers(tokenizer, token, word, text, breakers);
  }
  std::sort(breakers.begin(), breakers.end(), before);
  const auto end =
      std::unique(breakers.begin(), breakers.end(), [](const DryBreaker& a, const DryBreaker& b) {
        return a.head == b.head && a.tail == b.tail;
      });
  breakers.erase(end, breakers.end());
  return breakers;
}

bool Dry::is_on(const SamplingOptions& options) {
  return options.dry_multiplier != 0 && options.dry_penalty_last_n != 0;
}

Dry::Dry(const SamplingOptions& options, int32_t vocab_size, int64_t max_length,
         std::vector<DryBreaker> breakers)
    : multiplier_(options.dry_multiplier),
      base_(options.dry_base),
      allowed_length_(options.dry_allowed_length),
      last_n_(options.dry_penalty_last_n),
      breakers_(std::move(breakers)),
      longest_(static_cast<size_t>(vocab_size), -1) {
  const auto length = std::min(static_cast<size_t>(max_length), static_cast<size_t>(last_n_));
  repeated_.reserve(length);
  touched_.reserve(std::min(length, longest_.size()));
}

std::span<const DryBreaker> Dry::breakers_of(int32_t token) const {
  return {std::ranges::lower_bound(breakers_, token, {}, &DryBreaker::head),
          std::ranges::upper_bound(breakers_, token, {}, &DryBreaker::head)};
}

// Tokens behind the last breaker; all where there is none.
int32_t Dry::repetition_limit(std::span<const int32_t> tokens) const {
  const auto n = static_cast<int32_t>(tokens.size());
  for (int32_t i = 0; i < n; ++i) {  // i tokens stand behind the one that is looked at
    const auto behind = tokens.last(static_cast<size_t>(i));
    int32_t longest = -1;
    for (const DryBreaker& breaker : breakers_of(tokens[static_cast<size_t>(n - 1 - i)])) {
      const std::span<const TokenId> tail = breaker.tail;
      if (tail.size() <= behind.size() && std::ranges::equal(tail, behind.first(tail.size()))) {
        longest = std::max(longest, static_cast<int32_t>(tail.size()));
      }
    }
    if (longest >= 0) return i - longest;
  }
  return n;
}

// The Z-algorithm from the end: every token is compared a bounded number of times.
void Dry::find_repetitions(std::span<const int32_t> tokens, int32_t limit) {
  const auto n = static_cast<int32_t>(tokens.size());
  const auto from_end = [&](int32_t i) { return tokens[static_cast<size_t>(n - 1 - i)]; };
  repeated_.assign(tokens.size(), 0);
  int32_t box_begin = 0, box_end = 0;  // of the repetition that reaches furthest, end included
  for (int32_t i = 1; i < n; ++i) {
    int32_t length = 0;
    if (i <= box_end) {
      length = repeated_[static_cast<size_t>(i - box_begin)];
      if (length < box_end - i + 1) {
        repeated_[static_cast<size_t>(i)] = length;
        continue;
      }
      length = box_end - i + 1;
    }
    while (i + length < n && from_end(length) == from_end(i + length)) ++length;
    if (length > 0) {
      box_begin = i;
      box_end = i + length - 1;
    }
    repeated_[static_cast<size_t>(i)] = std::min(length, limit);
  }
}

void Dry::penalise(std::span<const int32_t> tokens, std::span<float> logits) {
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (repeated_[i] < allowed_length_) continue;
    const int32_t next = tokens[tokens.size() - i];
    int32_t& longest = longest_[static_cast<size_t>(next)];
    if (longest < 0) touched_.push_back(next);
    longest = std::max(longest, repeated_[i]);
  }
  // A larger power would be beyond float.
  constexpr float kLogOfLargest = 88.7228391F;
  const int32_t most =
      base_ > 1.000001F ? static_cast<int32_t>(kLogOfLargest / std::log(base_)) : 0;
  for (const int32_t token : touched_) {
    const int32_t longest = std::exchange(longest_[static_cast<size_t>(token)], -1);
    const auto breakers = breakers_of(token);
    if (!breakers.empty() && breakers.front().tail.empty()) continue;
    const int32_t beyond = longest - allowed_length_;
    const int32_t exponent = most > 0 ? std::min(beyond, most) : beyond;
    logits[static_cast<size_t>(token)] -=
        static_cast<float>(double{multiplier_} * std::pow(double{base_}, exponent));
  }
  touched_.clear();
}

void Dry::apply(std::span<const int32_t> tokens, std::span<float> logits) {
  tokens = tokens.last(std::min(tokens.size(), static_cast<size_t>(last_n_)));  // -1: all
  if (static_cast<int64_t>(tokens.size()) <= allowed_length_) return;
  const int32_t limit = repetition_limit(tokens);
  if (limit < allowed_length_) return;
  find_repetitions(tokens, limit);
  penalise(tokens, logits);
}

}  // namespace tidal
