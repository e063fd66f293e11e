#include "runtime/option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "tidal/error.h"

namespace tidal {
namespace {

using testing::HasSubstr;

std::string refusal(std::string_view name, std::string_view value) {
  Options options;
  try {
    set_option(options, name, value);
  } catch (const Error& error) {
    EXPECT_EQ(error.option(), name);
    return error.what();
  }
  return "taken";
}

TEST(OptionTable, PutsValuesWhereTheyBelong) {
  Options options;
  set_option(options, "context_size", "4096");
  set_option(options, "k_cache_type", "q8_0");
  set_option(options, "rope_scale", "2.5");
  set_option(options, "method", "quest");
  set_option(options, "budget", "10%");
  set_option(options, "temperature", "0.5");
  set_option(options, "seed", "9223372036854775807");
  set_option(options, "ignore_eos", "true");
  set_option(options, "min_tokens", "7");
  set_option(options, "stop", "a");
  set_option(options, "stop", "b");
  EXPECT_EQ(options.engine.context_size, 4096);
  EXPECT_EQ(options.engine.k_cache_type, "q8_0");
  EXPECT_EQ(options.engine.rope.scale, 2.5);
  const Request request = make_request(options);
  EXPECT_EQ(request.attention.name, "quest");
  EXPECT_EQ(request.attention.budget, "10%");
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.seed, uint64_t{INT64_MAX});
  EXPECT_TRUE(request.ignore_eos);
  EXPECT_EQ(request.min_tokens, 7);
  EXPECT_THAT(request.stop, testing::ElementsAre("a", "b"));
}

TEST(OptionTable, ReadsSamplingAsLlamaServerSpellsIt) {
  Options options;
  EXPECT_EQ(make_request(options).sampling.dry_sequence_breakers, default_dry_sequence_breakers());
  set_option(options, "repeat_last_n", "-1");
  set_option(options, "presence_penalty", "-0.5");
  set_option(options, "logit_bias", "15043+1.5");
  set_option(options, "logit_bias", "7-2e1");
  set_option(options, "logit_bias", "9-inf");
  set_option(options, "dry_sequence_breakers", "\n");
  set_option(options, "dry_sequence_breakers", "none");
  set_option(options, "dry_sequence_breakers", "###");
  const SamplingOptions sampling = make_request(options).sampling;
  EXPECT_EQ(sampling.repeat_last_n, -1);
  EXPECT_EQ(sampling.presence_penalty, -0.5F);
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  EXPECT_THAT(
      sampling.logit_bias,
      testing::ElementsAre(std::pair(15043, 1.5F), std::pair(7, -20.0F), std::pair(9, kNever)));
  EXPECT_THAT(sampling.dry_sequence_breakers, testing::ElementsAre("\n", "###"));
  for (const char* value : {"", "5", "5+", "+1", "-1+1", "5+inf", "5+nan", "5+1x", "x+1", "5--1"}) {
    EXPECT_THAT(refusal("logit_bias", value), HasSubstr("a token, a sign and a number")) << value;
  }
  EXPECT_THAT(refusal("dry_sequence_breakers", ""), HasSubstr("1 to 40 bytes"));
  EXPECT_THAT(refusal("repeat_last_n", "-2"), HasSubstr("-1 for all tokens"));
  EXPECT_THAT(refusal("dry_base", "0.5"), HasSubstr("1 or more"));
}

TEST(OptionTable, RefusesWhatARowDoesNotTake) {
  EXPECT_EQ(refusal("top_p", "0"), "`top_p`: '0' is not above 0 and at most 1");
  EXPECT_EQ(refusal("top_p", "nan"), "`top_p`: 'nan' is not above 0 and at most 1");
  EXPECT_EQ(refusal("threads", "4097"), "`threads`: '4097' is not a whole number from 1 to 4096");
  EXPECT_EQ(refusal("threads", "2x"), "`threads`: '2x' is not a whole number from 1 to 4096");
  EXPECT_EQ(refusal("threads", ""), "`threads`: '' is not a whole number from 1 to 4096");
  EXPECT_THAT(refusal("k_cache_type", "f64"), HasSubstr("available: f16, bf16, f32, q8_0"));
  EXPECT_THAT(refusal("method", "magic"), HasSubstr("full"));
  EXPECT_THAT(refusal("budget", "lots"), HasSubstr("'lots' is not a number of tokens (512)"));
  EXPECT_THAT(refusal("ignore_eos", "yes"), HasSubstr("true or false"));
  EXPECT_THAT(refusal("max_tokens", "0"), HasSubstr("-1 for as many as fit"));
  EXPECT_THAT(refusal("no_such", "1"), HasSubstr("unknown option 'no_such'; available: model, "));
}

// Values that rows report are values they accept, and the defaults stay as they are.
TEST(OptionTable, DefaultsAreValues) {
  const Options defaults;
  std::set<std::string> names;
  for (const Option& option : option_table()) {
    EXPECT_TRUE(names.insert(option.name).second) << option.name;
    EXPECT_FALSE(option.help.empty()) << option.name;
    const std::string value = option.value(defaults);
    EXPECT_FALSE(option.default_text.empty()) << option.name;
    if (value.empty()) continue;
    EXPECT_EQ(option.complaint(value), "") << option.name;
    Options options;
    option.assign(options, value);
    EXPECT_EQ(option.value(options), value) << option.name;
  }
}

TEST(OptionTable, RespellsOptionsAlone) {
  const auto flag = [](const Option& option) { return flag_name(option); };
  EXPECT_EQ(respell("raise `context_size` or lower `max_tokens`", flag),
            "raise --ctx-size or lower --predict");
  EXPECT_EQ(respell("`prefill_chunk` and `this` and a ` alone", flag),
            "prefill_chunk and `this` and a ` alone");
  EXPECT_EQ(respell("", flag), "");
}

}  // namespace
}  // namespace tidal
