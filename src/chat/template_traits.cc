#include "chat/template_traits.h"

#include <optional>
#include <string>
#include <string_view>

#include "tidal/error.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

// Words that no template has.
constexpr const char* kSystem = "probe-system";
constexpr const char* kUser = "probe-user";
constexpr const char* kTool = "probe_tool";
constexpr const char* kCall = "probe_call";
constexpr const char* kShortId = "probe0001";  // as Mistral's templates want them
constexpr const char* kLongId = "call_probe-0123456789";

class Prober {
 public:
  explicit Prober(const ChatTemplate& chat_template) : template_(chat_template) {
    options_.jinja.limits = {200'000, int64_t{16} << 20, int64_t{1} << 20, 300};
    options_.jinja.now = std::tm{};
    options_.jinja.now->tm_mday = 1;
    options_.variables = {{"enable_thinking", true}, {"datetime", ""}, {"functions", ""}};
    options_.keep_none_content = true;
  }

  // Nothing where the template refuses.
  std::optional<std::string> render(const Json& messages) const {
    try {
      return template_.render(messages, options_);
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  bool shows(const Json& messages, std::string_view word) const {
    const auto text = render(messages);
    return text.has_value() && text->find(word) != std::string::npos;
  }

  ChatOptions& options() { return options_; }

 private:
  const ChatTemplate& template_;
  ChatOptions options_;
};

Json parts(std::string_view text) { return Json::array({{{"type", "text"}, {"text", text}}}); }

Json user(const TemplateTraits& traits) {
  return {{"role", "user"}, {"content", traits.parts_only ? parts(kUser) : Json(kUser)}};
}

Json tools() {
  const Json parameters = {
      {"type", "object"},
      {"properties", {{"probe_argument", {{"type", "string"}, {"description", "d"}}}}},
      {"required", {"probe_argument"}}};
  return Json::array(
      {{{"type", "function"},
        {"function", {{"name", kTool}, {"description", "d"}, {"parameters", parameters}}}}});
}

struct CallShape {
  bool object_arguments;
  bool none_content;
  const char* id = kShortId;
};

Json call_chat(const TemplateTraits& traits, const CallShape& shape) {
  Json arguments = {{"probe_argument", "probe-value"}};
  if (!shape.object_arguments) arguments = arguments.dump();
  const Json call = {{"id", shape.id},
                     {"type", "function"},
                     {"function", {{"name", kCall}, {"arguments", arguments}}}};
  const Json content = shape.none_content ? Json() : traits.parts_only ? parts("") : Json("");
  return Json::array(
      {user(traits),
       {{"role", "assistant"}, {"content", content}, {"tool_calls", Json::array({call})}},
       {{"role", "tool"},
        {"tool_call_id", shape.id},
        {"name", kCall},
        {"content", traits.parts_only ? parts("done") : Json("done")}}});
}

enum class Shown { kNot, kBadly, kWell };

// Python's way of writing an object and JSON inside of a JSON string are not what was meant.
Shown how_shown(const std::optional<std::string>& text) {
  if (!text.has_value() || text->find(kCall) == text->npos ||
      text->find("probe-value") == text->npos) {
    return Shown::kNot;
  }
  const bool bad = text->find("'probe_argument'") != text->npos ||
                   text->find("\\\"probe_argument") != text->npos;
  return bad ? Shown::kBadly : Shown::kWell;
}

void find_call_shape(const Prober& prober, TemplateTraits& traits) {
  Shown best = Shown::kNot;
  for (const bool object : {true, false}) {
    for (const bool none : {false, true}) {
      const Shown shown = how_shown(prober.render(call_chat(traits, {object, none})));
      if (shown <= best) continue;
      best = shown;
      traits.object_arguments = object;
      traits.none_with_calls = none;
    }
  }
  traits.tool_calls = best != Shown::kNot;
  const CallShape shape{traits.object_arguments, traits.none_with_calls, kLongId};
  traits.short_call_ids = traits.tool_calls && !prober.render(call_chat(traits, shape)).has_value();
}

}  // namespace

TemplateTraits find_traits(const ChatTemplate& chat_template) {
  TemplateTraits traits;
  Prober prober(chat_template);
  const Json in_text = {{{"role", "user"}, {"content", kUser}}};
  const Json in_parts = {{{"role", "user"}, {"content", parts(kUser)}}};
  traits.parts_only = !prober.shows(in_text, kUser) && prober.shows(in_parts, kUser);
  const Json chat = Json::array({user(traits)});
  const Json system = {{"role", "system"},
                       {"content", traits.parts_only ? parts(kSystem) : Json(kSystem)}};
  traits.system_role = prober.shows(Json::array({system, user(traits)}), kSystem);
  const auto thinking = prober.render(chat);
  prober.options().variables["enable_thinking"] = false;
  traits.follows_thinking = prober.render(chat) != thinking;
  prober.options().variables["enable_thinking"] = true;
  prober.options().tools = tools();
  traits.tools = prober.shows(chat, kTool);
  find_call_shape(prober, traits);
  return traits;
}

}  // namespace tidal
