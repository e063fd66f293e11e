// The plan file: a plan line, the model it is for, and what a line cannot express.

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "attention/layer_plan.h"
#include "base/fail.h"
#include "base/json.h"

namespace tidal {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;

void check_keys(const json& object, std::initializer_list<std::string_view> known,
                const std::string& where) {
  if (!object.is_object()) {
    fail(ErrorCode::kInvalidArgument, "{} is not a JSON object", where);
  }
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(ErrorCode::kInvalidArgument, "{}: unknown key '{}'", where, key);
    }
  }
}

const json& member(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) fail(ErrorCode::kInvalidArgument, "{}: no key '{}'", where, key);
  return *found;
}

int32_t whole_number(const json& value, const char* key, const std::string& where) {
  const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > INT32_MAX;
  if (!value.is_number_integer() || too_large || value.get<int64_t>() < 0 ||
      value.get<int64_t>() > INT32_MAX) {
    fail(ErrorCode::kInvalidArgument, "{}: '{}' is not a whole number", where, key);
  }
  return value.get<int32_t>();
}

void check_model(const json& model, int32_t n_layers, HeadCounts heads, const std::string& path) {
  const std::string where = path + ": model";
  check_keys(model, {"layers", "heads", "kv_heads"}, where);
  const auto check = [&](const char* key, int32_t expected) {
    const int32_t found = whole_number(member(model, key, where), key, where);
    if (found != expected) {
      fail(ErrorCode::kInvalidArgument,
           "{}: '{}' is {}, the model has {}: this plan was made for another model", where, key,
           found, expected);
    }
  };
  check("layers", n_layers);
  check("heads", heads.n_heads);
  check("kv_heads", heads.n_kv_heads);
}

void read_layer(const json& entry, LayerPlan& plan, const std::string& path) {
  const std::string where = path + ": layers";
  check_keys(entry, {"layer", "source", "head_map"}, where);
  const int32_t layer = whole_number(member(entry, "layer", where), "layer", where);
  if (layer >= plan.n_layers() ||
      plan.layers[static_cast<size_t>(layer)].role != LayerRole::kSparse) {
    fail(ErrorCode::kInvalidArgument, "{}: 'layer' {} is not a sparse layer of the plan", where,
         layer);
  }
  LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
  if (entry.contains("source")) spec.source = whole_number(entry["source"], "source", where);
  if (!entry.contains("head_map")) return;
  if (!entry["head_map"].is_array()) {
    fail(ErrorCode::kInvalidArgument, "{}: 'head_map' is not an array", where);
  }
  spec.head_map.clear();
  for (const json& list : entry["head_map"]) {
    spec.head_map.push_back(whole_number(list, "head_map", where));
  }
}

// The same plan without what a line cannot express.
LayerPlan line_part(const LayerPlan& plan) {
  return parse_plan_line(print_plan_line(plan), plan.n_layers());
}

}  // namespace

LayerPlan plan_from_json(const json& file, int32_t n_layers, HeadCounts heads,
                         const std::string& path) {
  check_keys(file, {"tidal_plan", "model", "plan", "layers", "note", "calibration"}, path);
  const int32_t version = whole_number(member(file, "tidal_plan", path), "tidal_plan", path);
  if (version != kVersion) {
    fail(ErrorCode::kInvalidArgument, "{}: 'tidal_plan' is version {}; this program reads {}", path,
         version, kVersion);
  }
  check_model(member(file, "model", path), n_layers, heads, path);
  const json& line = member(file, "plan", path);
  if (!line.is_string()) fail(ErrorCode::kInvalidArgument, "{}: 'plan' is not a string", path);
  if (file.contains("layers") && !file["layers"].is_array()) {
    fail(ErrorCode::kInvalidArgument, "{}: 'layers' is not an array", path);
  }
  try {
    LayerPlan plan = parse_plan_line(line.get<std::string>(), n_layers);
    std::vector<bool> seen(static_cast<size_t>(n_layers));
    for (const json& entry : file.value("layers", json::array())) {
      read_layer(entry, plan, path);
      const auto layer = entry["layer"].get<size_t>();
      if (seen[layer]) {
        fail(ErrorCode::kInvalidArgument, "{}: layers: 'layer' {} is given twice", path, layer);
      }
      seen[layer] = true;
    }
    validate(plan, heads);
    return plan;
  } catch (const Error& error) {
    const std::string_view message = error.what();
    if (message.starts_with(path)) throw;
    fail(error.code(), "{}: {}", path, message);
  }
}

json plan_to_json(const LayerPlan& plan, HeadCounts heads) {
  json file = {
      {"tidal_plan", kVersion},
      {"model",
       {{"layers", plan.n_layers()}, {"heads", heads.n_heads}, {"kv_heads", heads.n_kv_heads}}},
      {"plan", print_plan_line(plan)}};
  const LayerPlan plain = line_part(plan);
  json layers = json::array();
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    const LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
    if (spec == plain.layers[static_cast<size_t>(layer)]) continue;
    json entry = {{"layer", layer}, {"source", spec.source}};
    if (!spec.head_map.empty()) entry["head_map"] = spec.head_map;
    layers.push_back(std::move(entry));
  }
  if (!layers.empty()) file["layers"] = std::move(layers);
  return file;
}

LayerPlan read_plan_file(const std::string& path, int32_t n_layers, HeadCounts heads) {
  return plan_from_json(read_json_file(path), n_layers, heads, path);
}

LayerPlan resolve_plan(std::string_view text, int32_t n_layers, HeadCounts heads) {
  if (text.find('/') != text.npos || text.ends_with(".json")) {
    return read_plan_file(std::string(text), n_layers, heads);
  }
  if (text.find(':') != text.npos) return parse_plan_line(text, n_layers);
  if (text == "paper" || text == "tidal") return preset_plan(text, n_layers);
  fail(ErrorCode::kNotFound,
       "unknown plan '{}': give a preset (paper, tidal), a plan line (full:0-1 select:2,12) or a "
       "file "
       "(PATH.json)",
       text);
}

}  // namespace tidal
