// LayerPlan: what each layer of a decode step reads: position persistent sparse attention as data.
//
// Each layer is full (attends to everything), select (attends and picks the rows with the largest
// scores: the token selection layers of the paper's Algorithm 1) or sparse (attends to the rows
// picked by its source, an earlier selecting layer). The paper's layout, its GQA and
// one-set-for-all-heads variants and Kascade's head maps are all LayerPlans. A plan prints to one
// line that parses to the same plan, and to JSON (a plan file; only this can express other sources
// and head maps). All errors name the key, or file and key, at fault.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/selection.h"

namespace tidal {

enum class LayerRole : uint8_t { kFull, kSelect, kSparse };

// How many rows a list may hold, including sinks, recent rows and the newest. Written `512`, `10%`
// (of the context, rounded up) or `10%min64` (the same, but at least 64).
struct Budget {
  int64_t tokens = 1024;         // with a share: the minimum
  int32_t share_millionths = 0;  // 100000 is 10 %; 0: none. An integer, so rounding is exact

  int64_t at(int64_t length) const;
  bool operator==(const Budget&) const = default;
};

struct LayerSpec {
  LayerRole role = LayerRole::kFull;
  int32_t source = -1;            // sparse: the selecting layer it reads
  std::vector<int32_t> head_map;  // sparse, optional: [n_heads] list of the source each head reads

  bool operator==(const LayerSpec&) const = default;
};

struct LayerPlan {
  std::vector<LayerSpec> layers;
  Budget budget;
  HeadScope scope = HeadScope::kQueryHead;
  Pooling pooling = Pooling::kRaw;
  int64_t sinks = 0;          // first rows, always included
  int64_t recent = 0;         // last rows, always included, as is the newest one
  int32_t page = 16;          // quest only: rows per page
  int32_t rest = 0;           // tidal only: rows per block whose mean stands in for unread rows
  bool own = false;           // a selecting layer attends to its own picks only (a K-only scan)
  int32_t correct_every = 0;  // KV cache correction stride T; 0 = off

  int32_t n_layers() const { return static_cast<int32_t>(layers.size()); }
  // Rows in a list at this length: the budget; if it is a share, with room for at least one pick.
  int64_t budget_at(int64_t length) const;
  bool operator==(const LayerPlan&) const = default;
};

// The head counts a head map refers to.
struct HeadCounts {
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
};

// Parses a plan line (`full:0-1 select:2,12 budget:512 scope:kv`, `full:none` for no full layer).
// Keys left out default to the preset `paper`; if `full` is given without `select`, the first layer
// that is not full takes the place of layer 2. Throws Error(kInvalidArgument): unknown or repeated
// keys, bad values, layers out of range, a layer with two roles, a sparse layer before any
// selecting layer, a budget below sinks + recent + 1.
LayerPlan parse_plan_line(std::string_view line, int32_t n_layers);

// The plan's line, either the given keys or all in a fixed order (`page` only if not 16, `rest`
// only if not 0). A line cannot express sources and head maps: use a plan file.
std::string print_plan_line(const LayerPlan& plan);
std::string print_plan_line(const LayerPlan& plan, std::span<const std::string_view> keys);

// The plan file:
//   {"tidal_plan": 1, "model": {"layers": 30, "heads": 9, "kv_heads": 3}, "plan": "LINE",
//    "layers": [{"layer": 5, "source": 2, "head_map": [0, 0, 1]}], "note": "free text",
//    "calibration": {...}}
// `layers` (optional) lists the sparse layers that differ from the line; `calibration` (optional)
// records the figures behind the choice of plan, for people. Throws Error(kInvalidArgument), also
// when the counts are another model's; `path` is for the message.
LayerPlan plan_from_json(const nlohmann::json& json, int32_t n_layers, HeadCounts heads,
                         const std::string& path);
nlohmann::json plan_to_json(const LayerPlan& plan, HeadCounts heads);
LayerPlan read_plan_file(const std::string& path, int32_t n_layers, HeadCounts heads);

// "paper" or "tidal": the preset for a model of n_layers. In models with few layers, selecting
// layers that would coincide with a full layer or each other are dropped. Throws Error(kNotFound).
LayerPlan preset_plan(std::string_view name, int32_t n_layers);

// A preset's name, a plan line (it has a ':'), or the path of a plan file (it has a '/' or ends in
// .json).
LayerPlan resolve_plan(std::string_view text, int32_t n_layers, HeadCounts heads);

// Throws Error(kInvalidArgument).
Budget parse_budget(std::string_view text);
std::string print_budget(const Budget& budget);

// Throws Error(kInvalidArgument) when the plan breaks a rule above.
void validate(const LayerPlan& plan);
void validate(const LayerPlan& plan, HeadCounts heads);  // head maps too

}  // namespace tidal
