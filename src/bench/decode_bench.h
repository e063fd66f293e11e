// Decode and prefill benchmarks: what a step costs at a cache depth, which bytes it moved, and
// where its time went.
//
// The cache is not prefilled to the depth but filled with seeded rows (bench/lockstep.h), so a
// depth of 100,000 costs seconds. Everything after that is the decode path itself: operators are
// timed inside real steps (bench/timing_backend.h), each on the weights and the cache of the layer
// being computed. All methods of a depth take turns step by step, as do steps timed as a whole and
// steps whose operators are timed, so that disturbances of the machine affect all alike; a speed-up
// is the median of the ratios of neighbouring steps.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "tidal/options.h"

namespace tidal {

struct BenchOptions {
  EngineOptions engine;
  std::vector<MethodOptions> methods;
  std::vector<int64_t> depths;         // cache depths for decode
  std::vector<int32_t> batches = {1};  // sequences decoded together
  int64_t decode_tokens = 16;          // timed steps per depth and method
  int64_t prompt_tokens = 512;         // prefill test, 0: none
  int32_t repetitions = 0;   // of the prefill test; 0: three, or one if that takes over 30 s
  bool operators = false;    // rows for operators too
  int32_t drafts = 0;        // also full attention's step of a token and so many drafts; 0: none
  int32_t step_queries = 1;  // with operators: full attention of this many queries per step
  uint64_t seed = 1;
};

struct BenchRow {
  std::string test;  // "tg16 @ d4096", "tg16 @ d4096 x8", "pp512", "tg16 @ d4096: rope",
                     // "tg16 @ d4096: verification of 4"
  std::string method;
  std::string plan;
  double ms_median = 0;  // per step for decode, per prompt for prefill, per call of an operator
  double ms_min = 0;
  double tokens_per_second = 0;  // all sequences together; 0 for an operator
  double rows_share = 1;
  double gb_moved = 0;  // weights and cache rows that had to be read, per ms_median
  double gb_per_second = 0;
  double bandwidth_share = 0;
  double speedup_vs_full = 0;  // 0 if `full` was not measured at this depth
  int64_t depth = -1;          // of whole decode steps; -1: another test
  int32_t drafts = 0;          // verified in a step
  double calls = 0;            // operators: per step; 0 for other tests
  double step_share =
      0;  // operators: of the time of the same step and its sampling, all calls together
};

struct BenchEvents {
  // Called as each row is done; false ends the run.
  std::function<bool(const BenchRow&)> on_row;
  // Called while a cache is filled ("filling the cache") or a test runs (its name): tokens of each
  // sequence or of the prompt; false ends the run.
  std::function<bool(std::string_view what, int64_t done, int64_t total)> on_progress;
};

// Runs every case in turn. bandwidth: bytes per second, from measure_read_bandwidth. With
// operators, every method's step is followed by its operators and their sum, and the method tidal
// also by the attention operators of its plan with the other head scopes and the other `own`.
void run_bench(std::shared_ptr<const Model> model, const BenchOptions& options, double bandwidth,
               const BenchEvents& events);

}  // namespace tidal
