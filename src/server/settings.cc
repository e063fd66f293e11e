#include <charconv>

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
  json["timings_per_token"] = call.timings_per_token;
  json["post_sampling_probs"] = call.post_sampling_probs;
  return json;
}

}  // namespace tidal::server
