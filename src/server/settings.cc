#include <algorithm>
#include <cmath>

#include "server/format.h"

namespace tidal::server {
namespace {

// An option's value with the type its row has.
Json value_of(const Option& option, const Options& options) {
  const std::string text = option.value(options);
  switch (option.type) {
    case OptionType::kInteger:
    case OptionType::kNumber: {
      const Json number = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      return number.is_number() ? number : Json(text);
    }
    case OptionType::kSwitch:
      return text == "true";
    default:
      return text;
  }
}

// What never comes has the bias null.
Json bias_json(const GenerateCall& call) {
  Json list = Json::array();
  const auto add = [&](int32_t token, float bias) {
    list.push_back({{"token", token}, {"bias", std::isinf(bias) ? Json() : Json(bias)}});
  };
  for (const LogitBias& bias : call.logit_bias) {
    if (const auto* token = std::get_if<int32_t>(&bias.token)) add(*token, bias.bias);
  }
  if (call.options.ignore_eos && call.end_token >= 0) add(call.end_token, -INFINITY);
  return list;
}

}  // namespace

Json settings_json(const GenerateCall& call) {
  Json json = Json::object();
  for (const Option& option : option_table()) {
    if (option.group == OptionGroup::kModel || option.type == OptionType::kTexts) continue;
    json[option.name] = value_of(option, call.options);
  }
  json["seed"] = call.options.sampling.seed;
  json["n_predict"] = json["max_tokens"];
  json["stop"] = call.options.stop;
  json["stream"] = call.stream;
  json["n_probs"] = std::max<int64_t>(0, call.logprobs);
  // llama.cpp's stages that are not here, off.
  json["mirostat"] = 0;
  json["adaptive_target"] = -1.0;
  json["adaptive_decay"] = 0.9;
  json["logit_bias"] = bias_json(call);
  json["timings_per_token"] = call.timings_per_token;
  json["post_sampling_probs"] = call.post_sampling_probs;
  return json;
}

}  // namespace tidal::server
