#include "chat/syntax.h"

#include "base/json.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

std::string with_name(std::string_view text, const std::string& name) {
  constexpr std::string_view kPlace = "NAME";
  const size_t at = text.find(kPlace);
  if (at == text.npos) return std::string(text);
  return std::string(text.substr(0, at)).append(name).append(text.substr(at + kPlace.size()));
}

Json schema_of(const Json& function) {
  const auto parameters = function.find("parameters");
  const bool any = parameters == function.end() || !parameters->is_object() || parameters->empty();
  return any ? Json{{"type", "object"}} : *parameters;
}

}  // namespace

std::vector<std::string_view> tags_of(const SyntaxData& syntax) {
  std::vector<std::string_view> tags{syntax.reasoning.start, syntax.reasoning.end};
  if (syntax.format == nullptr) return tags;
  tags.insert(tags.end(), syntax.format->dropped.begin(), syntax.format->dropped.end());
  if (syntax.tools.is_null() && syntax.format->make_parser != nullptr) return tags;
  tags.insert(tags.end(), syntax.format->marks.begin(), syntax.format->marks.end());
  tags.push_back(syntax.format->open);
  if (!syntax.format->close.empty()) tags.push_back(syntax.format->close);
  return tags;
}

std::string required_calls(const SyntaxData& syntax, std::string_view tool_name) {
  if (syntax.format == nullptr || syntax.format->call_begin.empty()) return {};
  Json tags = Json::array();
  for (const Json& tool : syntax.tools) {
    const Json& function = tool["function"];
    const std::string name = function["name"].get<std::string>();
    if (!tool_name.empty() && name != tool_name) continue;
    // As far as a grammar can hold arguments to it, unless the tool asks for all of it.
    const Json content = {{"type", "json_schema"},
                          {"json_schema", schema_of(function)},
                          {"strict", function.contains("strict") && function["strict"] == true}};
    tags.push_back({{"type", "tag"},
                    {"begin", with_name(syntax.format->call_begin, name)},
                    {"content", content},
                    {"end", syntax.format->call_end}});
  }
  Json format = {{"type", "tags_with_separator"},
                 {"tags", tags},
                 {"separator", "\n"},
                 {"at_least_one", true},
                 {"stop_after_first", !syntax.parallel_calls || !tool_name.empty()}};
  if (syntax.reasoning_open) {
    const Json thought = {{"type", "tag"},
                          {"begin", ""},
                          {"content", {{"type", "any_text"}}},
                          {"end", syntax.reasoning.end}};
    const Json gap = {{"type", "const_string"}, {"value", "\n\n"}};
    format = {{"type", "sequence"}, {"elements", Json::array({thought, gap, format})}};
  }
  return dump({{"type", "structural_tag"}, {"format", format}});
}

}  // namespace tidal
