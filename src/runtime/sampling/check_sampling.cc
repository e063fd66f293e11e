#include "runtime/sampling/check_sampling.h"

#include <cmath>
#include <limits>

#include "base/fail.h"

namespace tidal {
namespace {

void check(bool ok, const char* option, double value, const char* range) {
  if (!ok)
    fail_option(option, ErrorCode::kInvalidArgument, "`{}` is {}, give {}", option, value, range);
}

void check_penalties(const SamplingOptions& o) {
  check(o.repeat_penalty > 0 && std::isfinite(o.repeat_penalty), "repeat_penalty", o.repeat_penalty,
        "a number above 0 (1: off)");
  check(o.repeat_last_n >= -1, "repeat_last_n", o.repeat_last_n,
        "a count, 0 for none or -1 for all tokens");
  check(std::isfinite(o.presence_penalty), "presence_penalty", o.presence_penalty, "a number");
  check(std::isfinite(o.frequency_penalty), "frequency_penalty", o.frequency_penalty, "a number");
}

void check_dry(const SamplingOptions& o) {
  check(o.dry_multiplier >= 0 && std::isfinite(o.dry_multiplier), "dry_multiplier",
        o.dry_multiplier, "0 (off) or more");
  check(o.dry_base >= 1 && std::isfinite(o.dry_base), "dry_base", o.dry_base, "1 or more");
  check(o.dry_allowed_length >= 0, "dry_allowed_length", o.dry_allowed_length, "a count");
  check(o.dry_penalty_last_n >= -1, "dry_penalty_last_n", o.dry_penalty_last_n,
        "a count, 0 for none or -1 for all tokens");
  for (const std::string& text : o.dry_sequence_breakers) {
    if (!text.empty() && text.size() <= kLongestDryBreaker) continue;
    fail_option("dry_sequence_breakers", ErrorCode::kInvalidArgument,
                "`dry_sequence_breakers` has a text of {} bytes, give 1 to {}", text.size(),
                kLongestDryBreaker);
  }
}

void check_logit_bias(const SamplingOptions& o, int32_t vocab_size) {
  for (const auto& [token, bias] : o.logit_bias) {
    if (token < 0 || token >= vocab_size) {
      fail_option("logit_bias", ErrorCode::kInvalidArgument,
                  "`logit_bias` names token {}, give one of the vocabulary of {}", token,
                  vocab_size);
    }
    check(bias < std::numeric_limits<float>::infinity(), "logit_bias", bias,
          "a number, or -inf for never");
  }
}

}  // namespace

void check_sampling(const SamplingOptions& o, int32_t vocab_size) {
  check(o.temperature >= 0 && std::isfinite(o.temperature), "temperature", o.temperature,
        "0 (always the most likely token) or more");
  check(o.top_k >= 0, "top_k", o.top_k, "a count, or 0 for no limit");
  check(o.top_p > 0 && o.top_p <= 1, "top_p", o.top_p, "a share above 0 and up to 1");
  check(o.min_p >= 0 && o.min_p <= 1, "min_p", o.min_p, "a share from 0 to 1");
  check(o.typical_p > 0 && o.typical_p <= 1, "typical_p", o.typical_p,
        "a share above 0 and up to 1");
  check(std::isfinite(o.top_n_sigma), "top_n_sigma", o.top_n_sigma, "a number (0 or less: off)");
  check(o.xtc_probability >= 0 && o.xtc_probability <= 1, "xtc_probability", o.xtc_probability,
        "a probability from 0 to 1");
  check(o.xtc_threshold >= 0 && o.xtc_threshold <= 1, "xtc_threshold", o.xtc_threshold,
        "a probability from 0 to 1");
  check_penalties(o);
  check_dry(o);
  check_logit_bias(o, vocab_size);
}

}  // namespace tidal
