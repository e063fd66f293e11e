#include "bench/decode_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <utility>

#include "base/fail.h"
#include "engine/model_options.h"

namespace tidal {
namespace {

constexpr int64_t kFillRows = 512;
constexpr int64_t kBankRows = 4096;
constexpr int kWarmupSteps = 2;
constexpr int kPrefillRuns = 3;

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Normal rows; one in a hundred is four times as long, so a few scores stand out.
std::vector<float> make_bank(int64_t width, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.5f);
  std::vector<float> bank(static_cast<size_t>(kBankRows * width));
  for (int64_t row = 0; row < kBankRows; ++row) {
    const float scale = random() % 100 == 0 ? 4.0f : 1.0f;
    for (int64_t i = 0; i < width; ++i) {
      bank[static_cast<size_t>(row * width + i)] = scale * normal(random);
    }
  }
  return bank;
}

int32_t some_token(int64_t i, int32_t vocab_size) {
  return static_cast<int32_t>((static_cast<uint64_t>(i) * 2654435761u + 17) %
                              static_cast<uint64_t>(vocab_size));
}

double bytes_per_row(const KvPlane& plane, int32_t head_dim) {
  return static_cast<double>(dtype_row_bytes(plane.dtype, head_dim));
}

BenchRow bench_decode(Session& session, int64_t depth, const BenchOptions& options,
                      double bandwidth) {
  const Model& model = session.model();
  const int32_t vocab = model.config().vocab_size;
  session.truncate(depth);
  for (int i = 0; i < kWarmupSteps; ++i) session.decode(some_token(i, vocab));
  const RowsRead before = session.rows_read();
  std::vector<double> times;
  for (int64_t i = 0; i < options.decode_tokens; ++i) {
    const Clock::time_point start = Clock::now();
    session.decode(some_token(i + kWarmupSteps, vocab));
    times.push_back(milliseconds_since(start));
  }
  const auto steps = static_cast<double>(options.decode_tokens);
  const RowsRead& after = session.rows_read();
  const KvView cache = session.cache(0);
  const double cache_bytes =
      static_cast<double>(after.k - before.k) * bytes_per_row(cache.k, cache.head_dim) +
      static_cast<double>(after.v - before.v) * bytes_per_row(cache.v, cache.head_dim);
  BenchRow row;
  row.test = fmt::format("tg{} @ d{}", options.decode_tokens, depth);
  row.method = session.method().name();
  row.plan = session.method().plan_line();
  row.ms_median = median(times);
  row.ms_min = *std::min_element(times.begin(), times.end());
  row.tokens_per_second = 1000 / row.ms_median;
  row.rows_share = session.rows().share();
  row.gb_moved = (static_cast<double>(model.step_weight_bytes()) + cache_bytes / steps) / 1e9;
  row.gb_per_second = row.gb_moved / (row.ms_median / 1000);
  row.bandwidth_share = row.gb_per_second * 1e9 / bandwidth;
  return row;
}

BenchRow bench_prefill(Session& session, const BenchOptions& options, double bandwidth) {
  const Model& model = session.model();
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < options.prompt_tokens; ++i) {
    prompt.push_back(some_token(i, model.config().vocab_size));
  }
  std::vector<double> times;
  for (int run = 0; run < kPrefillRuns; ++run) {
    session.truncate(0);
    const Clock::time_point start = Clock::now();
    session.prefill(prompt);
    times.push_back(milliseconds_since(start));
  }
  session.truncate(0);
  const int64_t chunk = options.engine.prefill_chunk;
  const auto chunks = static_cast<double>((options.prompt_tokens + chunk - 1) / chunk);
  BenchRow row;
  row.test = fmt::format("pp{}", options.prompt_tokens);
  row.method = "full";
  row.ms_median = median(times);
  row.ms_min = *std::min_element(times.begin(), times.end());
  row.tokens_per_second = 1000 * static_cast<double>(options.prompt_tokens) / row.ms_median;
  row.gb_moved = chunks * static_cast<double>(model.step_weight_bytes()) / 1e9;
  row.gb_per_second = row.gb_moved / (row.ms_median / 1000);
  row.bandwidth_share = row.gb_per_second * 1e9 / bandwidth;
  return row;
}

}  // namespace

void fill_cache(Session& session, int64_t depth, uint64_t seed) {
  const Config& config = session.model().config();
  const int64_t width = int64_t{config.n_kv_heads} * config.head_dim;
  const std::vector<float> bank = make_bank(width, seed);
  std::vector<float> k(static_cast<size_t>(kFillRows * width));
  std::vector<float> v(k.size());
  std::mt19937_64 random(seed + 1);
  while (session.length() < depth) {
    const int64_t first = session.length();
    const int64_t n = std::min(kFillRows, depth - first);
    session.append_unwritten(n);
    for (int32_t layer = 0; layer < config.n_layers; ++layer) {
      const auto slice = [&](std::vector<float>& out) {
        const int64_t start = static_cast<int64_t>(random() % (kBankRows - kFillRows));
        const float scale = 0.9f + 0.2f * static_cast<float>(random() >> 40) * 0x1p-24f;
        for (int64_t i = 0; i < n * width; ++i) {
          out[static_cast<size_t>(i)] = scale * bank[static_cast<size_t>(start * width + i)];
        }
      };
      slice(k);
      slice(v);
      const AppendItem item{k.data(), v.data(), n, first, session.cache(layer)};
      session.backend().append({&item, 1});
    }
  }
}

void run_bench(std::shared_ptr<const Model> model, const BenchOptions& options, double bandwidth,
               const std::function<bool(const BenchRow&)>& on_row) {
  std::vector<int64_t> depths = options.depths;
  std::sort(depths.begin(), depths.end());
  const int64_t deepest = depths.empty() ? 0 : depths.back();
  const int64_t capacity =
      std::max(deepest + kWarmupSteps + options.decode_tokens, options.prompt_tokens);
  MethodOptions full;
  full.name = "full";
  Session session(model, options.engine, full, capacity);
  if (options.prompt_tokens > 0 && !on_row(bench_prefill(session, options, bandwidth))) return;
  for (const int64_t depth : depths) {
    fill_cache(session, depth, options.seed);
    double full_ms = 0;
    for (const MethodOptions& method : options.methods) {
      session.set_method(method);
      BenchRow row = bench_decode(session, depth, options, bandwidth);
      if (row.method == "full") full_ms = row.ms_median;
      if (full_ms > 0) row.speedup_vs_full = full_ms / row.ms_median;
      if (!on_row(row)) return;
    }
    session.truncate(depth);
  }
}

}  // namespace tidal
