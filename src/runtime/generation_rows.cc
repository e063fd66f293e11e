#include <limits>

#include "runtime/option_row.h"
#include "runtime/sampling/check_sampling.h"

namespace tidal::option_rows {
namespace {

constexpr auto kGeneration = OptionGroup::kGeneration;
constexpr uint64_t kMostSeed = std::numeric_limits<int64_t>::max();

// "15043+1.5", "15043-inf"
std::optional<std::pair<int32_t, float>> parse_bias(std::string_view text) {
  const size_t sign = text.find_first_of("+-");
  if (sign == text.npos) return std::nullopt;
  const auto token = parse<int32_t>(text.substr(0, sign));
  const auto size = parse<float>(text.substr(sign + 1));
  if (!token.has_value() || !size.has_value()) return std::nullopt;
  const float bias = text[sign] == '-' ? -*size : *size;
  const bool good = bias < std::numeric_limits<float>::infinity() && !std::signbit(*size);
  return good ? std::optional(std::pair(*token, bias)) : std::nullopt;
}

void add_breaker(Options& options, std::string_view text) {
  auto& breakers = options.dry_sequence_breakers;
  if (!breakers.has_value()) breakers.emplace();
  if (text != "none") breakers->emplace_back(text);
}
std::vector<Option> repetition_rows() {
  const auto any = [](double) { return true; };
  const char* window = "a whole number from 1 to 2147483647, 0 for none, or -1 for all tokens";
  const auto is_window = [](int32_t n) { return n >= -1; };
  return {
      number(
          {"repeat_penalty", "--repeat-penalty", kGeneration,
           "Divide the logits of tokens that were there by this, 1: off"},
          "a number above 0", [](double p) { return p > 0; },
          TIDAL_MEMBER(sampling.repeat_penalty)),
      integer_where({"repeat_last_n", "--repeat-last-n", kGeneration,
                     "Penalties look at this many last tokens, the prompt's included"},
                    window, is_window, TIDAL_MEMBER(sampling.repeat_last_n)),
      number({"presence_penalty", "--presence-penalty", kGeneration,
              "Take this from the logits of tokens that were there"},
             "a number", any, TIDAL_MEMBER(sampling.presence_penalty)),
      number({"frequency_penalty", "--frequency-penalty", kGeneration,
              "Take this from a token's logit for each time it was there"},
             "a number", any, TIDAL_MEMBER(sampling.frequency_penalty)),
      number(
          {"dry_multiplier", "--dry-multiplier", kGeneration,
           "DRY: factor of what a token that continues a repetition loses, 0: off"},
          "0 or more", [](double m) { return m >= 0; }, TIDAL_MEMBER(sampling.dry_multiplier)),
      number(
          {"dry_base", "--dry-base", kGeneration,
           "DRY: it loses this to the power of the repetition's length beyond the allowed one"},
          "1 or more", [](double b) { return b >= 1; }, TIDAL_MEMBER(sampling.dry_base)),
      integer({"dry_allowed_length", "--dry-allowed-length", kGeneration,
               "DRY: tokens that may be repeated"},
              0, kMost, TIDAL_MEMBER(sampling.dry_allowed_length)),
      integer_where({"dry_penalty_last_n", "--dry-penalty-last-n", kGeneration,
                     "DRY: looks at this many last tokens"},
                    window, is_window, TIDAL_MEMBER(sampling.dry_penalty_last_n)),
      texts(
          {"dry_sequence_breakers", "--dry-sequence-breaker", kGeneration,
           "DRY: a repetition ends at this text; may be repeated, none: at no text",
           "line end, colon, quotation mark, asterisk"},
          "a text of 1 to 40 bytes", add_breaker,
          [](std::string_view text) { return !text.empty() && text.size() <= kLongestDryBreaker; }),
      texts(
          {"logit_bias", "--logit-bias", kGeneration,
           "Add a number to the logit of a token (15043+1.5, 15043-inf: never); may be repeated",
           "none"},
          "a token, a sign and a number",
          [](Options& o, std::string_view text) {
            o.sampling.logit_bias.push_back(*parse_bias(text));
          },
          [](std::string_view text) { return parse_bias(text).has_value(); }),
  };
}

std::vector<Option> choice_rows() {
  return {
      integer_where(
          {"max_tokens", "-n,--predict", kGeneration,
           "Tokens to generate at most, -1: until the cache is full"},
          "a whole number from 1 to 2147483647, or -1 for as many as fit",
          [](int64_t n) { return n == -1 || (n >= 1 && n <= kMost); }, TIDAL_MEMBER(max_tokens)),
      integer({"min_tokens", "--min-tokens", kGeneration,
               "Tokens before which no end-of-text token, stop token or stop string ends the text"},
              0, kMost, TIDAL_MEMBER(min_tokens)),
      number(
          {"temperature", "--temp", kGeneration, "0: always the most likely token"}, "0 or more",
          [](double value) { return value >= 0; }, TIDAL_MEMBER(sampling.temperature)),
      integer({"top_k", "--top-k", kGeneration, "Keep this many of the most likely tokens, 0: all"},
              0, kMost, TIDAL_MEMBER(sampling.top_k)),
      number(
          {"top_p", "--top-p", kGeneration, "Keep the most likely tokens up to this probability"},
          "above 0 and at most 1", [](double p) { return p > 0 && p <= 1; },
          TIDAL_MEMBER(sampling.top_p)),
      number(
          {"min_p", "--min-p", kGeneration, "Drop tokens below this share of the best one"},
          "from 0 to 1", [](double p) { return p >= 0 && p <= 1; }, TIDAL_MEMBER(sampling.min_p)),
      number(
          {"typical_p", "--typical", kGeneration,
           "Keep the tokens of the most typical surprise up to this probability, 1: all"},
          "above 0 and at most 1", [](double p) { return p > 0 && p <= 1; },
          TIDAL_MEMBER(sampling.typical_p)),
      number(
          {"top_n_sigma", "--top-nsigma", kGeneration,
           "Keep logits within this many standard deviations of the best one, 0 or less: all"},
          "a number", [](double) { return true; }, TIDAL_MEMBER(sampling.top_n_sigma)),
      number(
          {"xtc_probability", "--xtc-probability", kGeneration,
           "How often all but the last of the likely tokens are left out (XTC), 0: never"},
          "from 0 to 1", [](double p) { return p >= 0 && p <= 1; },
          TIDAL_MEMBER(sampling.xtc_probability)),
      number(
          {"xtc_threshold", "--xtc-threshold", kGeneration,
           "XTC: the probability of a likely token, above 0.5: off"},
          "from 0 to 1", [](double p) { return p >= 0 && p <= 1; },
          TIDAL_MEMBER(sampling.xtc_threshold)),
      integer({"seed", "-s,--seed", kGeneration, "Equal seeds give equal tokens"}, 0, kMostSeed,
              TIDAL_MEMBER(sampling.seed)),
      texts({"stop", "--stop", kGeneration, "End the text before this string; may be repeated",
             "none"},
            "any text", [](Options& o, std::string_view text) { o.stop.emplace_back(text); }),
      text({"json_schema", "-j,--json-schema", kGeneration,
            "The answer is JSON of this schema (needs a build with xgrammar)", "none"},
           "a JSON schema", TIDAL_MEMBER(json_schema)),
      text({"grammar", "--grammar", kGeneration,
            "The answer is of this grammar, in llama.cpp's GBNF (needs a build with xgrammar)",
            "none"},
           "rules, of which one is called root", TIDAL_MEMBER(grammar)),
      toggle({"ignore_eos", "--ignore-eos", kGeneration, "Do not stop at the end-of-text token"},
             TIDAL_MEMBER(ignore_eos)),
      toggle({"cache_prompt", "", kGeneration,
              "Reuse the cached rows of earlier prompts that began alike, and keep this one's"},
             TIDAL_MEMBER(cache_prompt)),
      text({"cache_salt", "", kGeneration, "Share cached rows only with requests of the same salt",
            "empty"},
           "any text", TIDAL_MEMBER(cache_salt)),
  };
}

}  // namespace

std::vector<Option> generation_rows() {
  std::vector<Option> rows = choice_rows();
  for (const Option& row : repetition_rows()) rows.push_back(row);
  return rows;
}

}  // namespace tidal::option_rows
