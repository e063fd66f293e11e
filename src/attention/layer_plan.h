// LayerPlan: what every layer of a decode step reads. Position persistent sparse attention is data.
//
// Each layer is full (attends to everything), select (attends and picks the rows with the largest
// scores: the token selection layers of the paper's Algorithm 1) or sparse (attends to the rows its
// source, a selecting layer before it, picked). The paper's layout, its GQA and
// one-set-for-all-heads variants and Kascade's head maps are all LayerPlans. A plan prints to one
// line that parses to the same plan, and to JSON (a plan file, which alone can hold other sources
// and head maps).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ops/selection.h"

namespace tidal {

enum class LayerRole : uint8_t { kFull, kSelect, kSparse };

// The token budget K of a list, the newest token included: tokens, or a share of the context.
struct Budget {
  int64_t tokens = 1024;
  double share = 0;  // in (0, 1] when used: ceil(share * length), at least `tokens`

  int64_t at(int64_t length) const;
};

struct LayerSpec {
  LayerRole role = LayerRole::kFull;
  int32_t source = -1;            // sparse: the selecting layer it reads
  std::vector<int32_t> head_map;  // sparse, optional: [n_heads] list of the source each head reads
};

struct LayerPlan {
  std::vector<LayerSpec> layers;
  Budget budget;
  HeadScope scope = HeadScope::kQueryHead;
  Pooling pooling = Pooling::kRaw;
  int64_t sinks = 0;
  int64_t recent = 0;
  int32_t page = 16;          // quest only: rows of a page
  bool own = false;           // a selecting layer attends to its own picks only (a K-only scan)
  int32_t correct_every = 0;  // KV cache correction stride T; 0 = off
  // How the line was written, to print it as it was: explicit full/select lists.
  int32_t n_layers() const { return static_cast<int32_t>(layers.size()); }
};

// Parses a plan line (`full:0-1 select:2,12 budget:512 scope:kv`); what it leaves out has the
// preset `paper`'s value. Throws Error(kInvalidArgument) naming the key at fault: unknown or
// repeated keys, layers out of range, a layer with two roles, a sparse layer before any selecting
// layer, a budget below sinks + recent + 1.
LayerPlan parse_plan_line(std::string_view line, int32_t n_layers);
std::string print_plan_line(const LayerPlan& plan);

// The plan file. Throws Error naming path and key; also when layer or head counts differ.
LayerPlan plan_from_json(const nlohmann::json& json, int32_t n_layers, int32_t n_heads,
                         const std::string& path);
nlohmann::json plan_to_json(const LayerPlan& plan);

// "paper" or "tidal" (shared/cli names): the preset for a model of n_layers.
LayerPlan preset_plan(std::string_view name, int32_t n_layers);

// A preset's name, a plan line, or the path of a plan file.
LayerPlan resolve_plan(std::string_view text, int32_t n_layers, int32_t n_heads);

// Overrides the budget: "512" or "10%". Throws Error(kInvalidArgument).
Budget parse_budget(std::string_view text);

// Throws Error(kInvalidArgument) when the plan breaks a rule above.
void validate(const LayerPlan& plan);

}  // namespace tidal
