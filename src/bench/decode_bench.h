// Decode and prefill benchmarks: what a step costs at a cache depth, and which bytes it moved.
//
// The cache is not prefilled to the depth: it is filled with seeded rows of which a few score far
// above the rest, as in a real context, so a depth of 100,000 costs seconds. Everything after that
// is the decode path itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/session.h"
#include "model/model.h"
#include "tidal/options.h"

namespace tidal {

struct BenchOptions {
  EngineOptions engine;
  std::vector<MethodOptions> methods;
  std::vector<int64_t> depths;  // cache depths for decode
  int64_t decode_tokens = 16;   // timed steps per depth and method
  int64_t prompt_tokens = 512;  // prefill test, 0: none
  uint64_t seed = 1;
};

struct BenchRow {
  std::string test;  // "tg16 @ d4096" or "pp512"
  std::string method;
  std::string plan;
  double ms_median = 0;  // per token for decode, per prompt for prefill
  double ms_min = 0;
  double tokens_per_second = 0;
  double rows_share = 1;
  double gb_moved = 0;  // weights and cache rows that had to be read, per step
  double gb_per_second = 0;
  double bandwidth_share = 0;
  double speedup_vs_full = 0;  // 0 where `full` was not measured at this depth
};

// Runs every case in turn and hands each row over as it is done; stops when on_row returns false.
// bandwidth: bytes per second, from measure_read_bandwidth.
void run_bench(std::shared_ptr<const Model> model, const BenchOptions& options, double bandwidth,
               const std::function<bool(const BenchRow&)>& on_row);

// Fills a session's cache with seeded rows up to `depth` tokens.
void fill_cache(Session& session, int64_t depth, uint64_t seed);

}  // namespace tidal
