#include "bench/decode_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <span>
#include <string_view>
#include <utility>

#include "attention/layer_plan.h"
#include "base/parallel.h"
#include "bench/lockstep.h"
#include "bench/operator_times.h"
#include "bench/timing_backend.h"
#include "ops/factory/backend_factory.h"
#include "runtime/model_options.h"
#include "runtime/sampler.h"

namespace tidal {
namespace {

constexpr int kWarmupSteps = 2;
constexpr int kPrefillRuns = 3;
constexpr double kLongRunMs = 30'000;  // one is enough
constexpr int32_t kMaxVariants = 4;    // of a plan, with --ops
constexpr std::string_view kSampling = "sampling";

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

int32_t some_token(int64_t i, int32_t vocab_size) {
  return static_cast<int32_t>((static_cast<uint64_t>(i) * 2654435761u + 17) %
                              static_cast<uint64_t>(vocab_size));
}

// A measured method; for a variant only the attention operators are shown.
struct Contestant {
  Contender contender;
  bool variant = false;
  RowsRead rows_before{};    // the timed steps
  std::vector<double> ms{};  // [timed steps]
  OperatorTimes operators{};
  OperatorTimes several_queries{};

  const AttentionMethod& method() const { return contender.method(); }
};

bool is_attention(std::string_view name) {
  return name.starts_with("attend") || name.starts_with("score") || name.starts_with("top-k");
}

class Bench {
 public:
  Bench(std::shared_ptr<const Model> model, const BenchOptions& options, double bandwidth,
        const BenchEvents& events)
      : options_(options),
        bandwidth_(bandwidth),
        events_(events),
        vocab_size_(model->config().vocab_size),
        backend_(make_backend(options.engine.backend, thread_count(options.engine.threads))),
        timing_(*backend_, model->weights(*backend_)),
        sequences_(std::move(model), timing_, options.engine, limits(options)) {}

  void run() {
    if (options_.prompt_tokens > 0 && !prefill()) return;
    std::vector<int64_t> depths = options_.depths;
    std::sort(depths.begin(), depths.end());
    for (const int64_t depth : depths) {
      const auto progress = [&](int64_t done, int64_t total) {
        return events_.on_progress("filling the cache", done, total);
      };
      if (!sequences_.fill(depth, options_.seed + static_cast<uint64_t>(depth), progress)) return;
      for (const int32_t batch : options_.batches) {
        if (!measure(depth, batch)) return;
      }
    }
  }

 private:
  static LockstepLimits limits(const BenchOptions& options) {
    LockstepLimits limits;
    limits.n_sequences = *std::max_element(options.batches.begin(), options.batches.end());
    limits.max_filled = options.prompt_tokens;
    for (const int64_t depth : options.depths) {
      limits.max_filled = std::max(limits.max_filled, depth);
    }
    limits.max_decoded = kWarmupSteps + options.decode_tokens;
    limits.max_contenders =
        static_cast<int32_t>(options.methods.size()) * (options.operators ? 1 + kMaxVariants : 1) +
        (options.drafts > 0 ? 1 : 0);
    limits.max_drafts = options.drafts;
    return limits;
  }

  const Model& model() const { return sequences_.model(); }

  void rate(BenchRow& row, double bytes) const {
    row.gb_moved = bytes / 1e9;
    row.gb_per_second = row.gb_moved / (row.ms_median / 1000);
    row.bandwidth_share = row.gb_per_second * 1e9 / bandwidth_;
  }

  bool prefill() {
    std::vector<int32_t> prompt;
    for (int64_t i = 0; i < options_.prompt_tokens; ++i) {
      prompt.push_back(some_token(i, vocab_size_));
    }
    BenchRow row;
    row.test = fmt::format("pp{}", options_.prompt_tokens);
    row.method = "full";
    const auto progress = [&](int64_t done, int64_t total) {
      return events_.on_progress(row.test, done, total);
    };
    std::vector<double> times;
    const int runs = options_.repetitions > 0 ? options_.repetitions : kPrefillRuns;
    while (std::ssize(times) < runs) {
      const Clock::time_point start = Clock::now();
      if (!sequences_.prefill(prompt, progress)) return false;
      times.push_back(milliseconds_since(start));
      if (options_.repetitions == 0 && times.back() > kLongRunMs) break;
    }
    const int64_t chunk = options_.engine.prefill_chunk;
    const int64_t chunks = (options_.prompt_tokens + chunk - 1) / chunk;
    row.ms_median = median(times);
    row.ms_min = smallest(times);
    row.tokens_per_second = 1000 * static_cast<double>(options_.prompt_tokens) / row.ms_median;
    rate(row, static_cast<double>(chunks) * static_cast<double>(model().step_weight_bytes()));
    return events_.on_row(row);
  }

  // One decode step of all sequences, with or without timing its operators.
  double step(Contestant& contestant, int32_t token, bool look, std::span<Sampler> samplers) {
    timing_.timing(look);
    const Clock::time_point start = Clock::now();
    const std::span<const float> logits = sequences_.decode(contestant.contender, token);
    const double milliseconds = milliseconds_since(start);
    timing_.timing(false);
    if (!look) return milliseconds;
    const Clock::time_point sampling_start = Clock::now();
    for (size_t s = 0; s < samplers.size(); ++s) {
      const auto vocab = static_cast<size_t>(vocab_size_);
      samplers[s].sample(logits.subspan(s * vocab, vocab));
    }
    std::vector<OperationTime> times(timing_.times().begin(), timing_.times().end());
    const double sampling = milliseconds_since(sampling_start);
    times.push_back({kSampling, static_cast<int64_t>(samplers.size()), sampling, 0});
    contestant.operators.add_step(milliseconds + sampling, times);
    timing_.clear();
    return milliseconds;
  }

  // Full attention of several queries of each sequence, layer after layer.
  void attend_several(Contestant& contestant, int32_t batch) {
    const Config& config = model().config();
    const int32_t n = options_.step_queries;
    const int64_t width = int64_t{n} * config.attention().n_heads * config.attention().head_dim;
    if (sequences_.length() < n) return;
    // Queries without a direction of their own.
    const size_t bytes = static_cast<size_t>(batch * width) * sizeof(float);
    const MirroredBuffer q(bytes, timing_.memory());
    std::fill_n(q.host<float>(), batch * width, 1.0f);
    q.push(bytes);
    const Buffer out = timing_.allocate(bytes);
    std::vector<AttendItem> items(static_cast<size_t>(batch));
    const Buffer rows = timing_.allocate(items.size() * sizeof(RowsRead));
    const Clock::time_point start = Clock::now();
    timing_.timing(true);
    for (int32_t layer = 0; layer < config.n_layers(); ++layer) {
      for (int32_t s = 0; s < batch; ++s) {
        const auto index = static_cast<size_t>(s);
        items[index] = {.q = q.device<float>() + s * width,
                        .out = out.as<float>() + s * width,
                        .n_queries = n,
                        .n_heads = config.attention().n_heads,
                        .first_position = sequences_.length() - n,
                        .kv = sequences_.cache(s, layer),
                        .rows = rows.as<RowsRead>() + s};
      }
      timing_.attend(items);
    }
    timing_.timing(false);
    contestant.several_queries.add_step(milliseconds_since(start), timing_.times());
    timing_.clear();
  }

  // All methods take turns, step by step.
  bool measure(int64_t depth, int32_t batch) {
    std::vector<Contestant> contestants;
    for (const MethodOptions& method : options_.methods) {
      contestants.push_back({sequences_.enter(batch, method)});
      if (!options_.operators || method.name != "tidal") continue;
      for (const MethodOptions& variant : variants(depth, method, contestants.back().method())) {
        contestants.push_back({sequences_.enter(batch, variant), true});
      }
    }
    if (options_.drafts > 0) {
      MethodOptions verification;
      verification.name = "full";
      verification.lossless = true;
      verification.drafts = options_.drafts;
      contestants.push_back({sequences_.enter(batch, verification)});
    }
    const std::string test = test_name(depth, batch);
    std::vector<Sampler> samplers(static_cast<size_t>(batch), Sampler({}, vocab_size_));
    for (int64_t i = 0; i < kWarmupSteps + options_.decode_tokens; ++i) {
      const int32_t token = some_token(i, vocab_size_);
      for (Contestant& contestant : contestants) {
        if (i == kWarmupSteps) contestant.rows_before = contestant.contender.rows_read();
        const double ms = step(contestant, token, /*look=*/false, samplers);
        if (i < kWarmupSteps) continue;
        contestant.ms.push_back(ms);
        if (!options_.operators || contestant.contender.drafts > 0) continue;
        sequences_.step_back(contestant.contender);
        step(contestant, token, /*look=*/true, samplers);
        if (options_.step_queries > 1 && contestant.method().name() == "full") {
          attend_several(contestant, batch);
        }
      }
      if (!events_.on_progress(test, i + 1, kWarmupSteps + options_.decode_tokens)) return false;
    }
    const auto full = std::find_if(contestants.begin(), contestants.end(), [](const Contestant& c) {
      return c.method().name() == "full" && c.contender.drafts == 0;
    });
    for (const Contestant& contestant : contestants) {
      const BenchRow row =
          row_of(contestant, depth, batch, full == contestants.end() ? nullptr : &*full);
      if (!events_.on_row(row)) return false;
      if (row.drafts > 0) continue;
      if (options_.operators && !operator_rows(row, contestant)) return false;
    }
    sequences_.truncate(depth);
    return true;
  }

  std::string test_name(int64_t depth, int32_t batch) const {
    const std::string name = fmt::format("tg{} @ d{}", options_.decode_tokens, depth);
    return batch > 1 ? fmt::format("{} x{}", name, batch) : name;
  }

  BenchRow row_of(const Contestant& contestant, int64_t depth, int32_t batch,
                  const Contestant* full) const {
    BenchRow row;
    row.test = test_name(depth, batch);
    row.depth = depth;
    row.drafts = contestant.contender.drafts;
    if (row.drafts > 0) row.test += fmt::format(": verification of {}", row.drafts);
    row.method = contestant.method().name();
    row.plan = contestant.method().plan_line();
    row.ms_median = median(contestant.ms);
    row.ms_min = smallest(contestant.ms);
    row.tokens_per_second = 1000 * batch * (1 + row.drafts) / row.ms_median;
    row.rows_share = contestant.contender.rows().share();
    const bool twice = options_.operators && row.drafts == 0;
    const auto n_steps = static_cast<double>(options_.decode_tokens * (twice ? 2 : 1));
    rate(row, static_cast<double>(model().step_weight_bytes()) + cache_bytes(contestant) / n_steps);
    if (full != nullptr) {
      std::vector<double> ratios(contestant.ms.size());
      std::transform(full->ms.begin(), full->ms.end(), contestant.ms.begin(), ratios.begin(),
                     std::divides<>());
      row.speedup_vs_full = median(std::move(ratios));
    }
    return row;
  }

  // Of the cache rows read in the timed steps.
  double cache_bytes(const Contestant& contestant) const {
    const RowsRead& before = contestant.rows_before;
    const RowsRead after = contestant.contender.rows_read();
    const KvView cache = sequences_.cache(0, 0);
    const auto bytes = [&](int64_t rows, const KvPlane& plane) {
      return static_cast<double>(rows) * static_cast<double>(plane.row_bytes) / cache.n_kv_heads;
    };
    return bytes(after.k - before.k, cache.k) + bytes(after.v - before.v, cache.v);
  }

  bool operator_rows(const BenchRow& whole, const Contestant& contestant) {
    const OperatorTimes& operators = contestant.operators;
    BenchRow sum{.test = whole.test + ": all operators",
                 .method = whole.method,
                 .plan = whole.plan,
                 .ms_median = median(operators.sums()),
                 .ms_min = smallest(operators.sums()),
                 .calls = 1,
                 .step_share = operators.step_share(operators.sums())};
    const auto row_of_operator = [&](const Operator& op, const OperatorTimes& among) {
      const double calls = op.calls / among.n_steps();
      BenchRow row{.test = fmt::format("{}: {}", whole.test, op.name),
                   .method = whole.method,
                   .plan = whole.plan,
                   .ms_median = median(op.step_ms) / calls,
                   .ms_min = smallest(op.step_ms) / calls,
                   .calls = calls};
      rate(row, op.bytes / op.calls);
      return row;
    };
    double bytes = 0;
    for (const Operator& op : operators.all()) {
      bytes += op.bytes / operators.n_steps();
      if (contestant.variant && !is_attention(op.name)) continue;
      BenchRow row = row_of_operator(op, operators);
      row.step_share = operators.step_share(op.step_ms);
      if (!events_.on_row(row)) return false;
    }
    for (const Operator& op : contestant.several_queries.all()) {
      if (!events_.on_row(row_of_operator(op, contestant.several_queries))) return false;
    }
    rate(sum, bytes);
    return events_.on_row(sum);
  }

  // The same plan with another head scope, or with selecting layers that read the other way.
  std::vector<MethodOptions> variants(int64_t depth, const MethodOptions& method,
                                      const AttentionMethod& in_force) const {
    if (in_force.dense(depth + 1)) return {};
    const LayerPlan plan = parse_plan_line(in_force.plan_line(), model().config().n_layers());
    std::vector<MethodOptions> result;
    const auto add = [&](const LayerPlan& changed) {
      if (changed == plan) return;
      result.push_back(method);
      result.back().plan = print_plan_line(changed);
    };
    LayerPlan changed = plan;
    changed.own = !plan.own;
    add(changed);
    for (const HeadScope scope : {HeadScope::kAll, HeadScope::kKvHead, HeadScope::kQueryHead}) {
      changed = plan;
      changed.scope = scope;
      add(changed);
    }
    return result;
  }

  const BenchOptions& options_;
  const double bandwidth_;
  const BenchEvents& events_;
  const int32_t vocab_size_;
  std::unique_ptr<Backend> backend_;
  TimingBackend timing_;
  Lockstep sequences_;
};

}  // namespace

void run_bench(std::shared_ptr<const Model> model, const BenchOptions& options, double bandwidth,
               const BenchEvents& events) {
  Bench(std::move(model), options, bandwidth, events).run();
}

}  // namespace tidal
