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
#include "bench/timing_backend.h"
#include "engine/model_options.h"
#include "engine/sampler.h"
#include "ops/factory/backend_factory.h"

namespace tidal {
namespace {

constexpr int kWarmupSteps = 2;
constexpr int kPrefillRuns = 3;
constexpr std::string_view kSampling = "sampling";

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double smallest(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

int32_t some_token(int64_t i, int32_t vocab_size) {
  return static_cast<int32_t>((static_cast<uint64_t>(i) * 2654435761u + 17) %
                              static_cast<uint64_t>(vocab_size));
}

// One kind of operator over all timed steps.
struct Operator {
  std::string_view name;
  double calls = 0;               // in all steps
  double bytes = 0;               // in all steps
  std::vector<double> step_ms{};  // all calls of a step together
};

class Operators {
 public:
  void add_step(double milliseconds, std::span<const OperationTime> times) {
    ++n_steps_;
    steps_ms_.push_back(milliseconds);
    for (const OperationTime& time : times) {
      Operator& op = find(time.name);
      op.step_ms.resize(n_steps_);
      op.step_ms.back() = time.milliseconds;
      op.calls += static_cast<double>(time.calls);
      op.bytes += time.bytes;
    }
    for (Operator& op : all_) op.step_ms.resize(n_steps_);
  }
  std::span<const Operator> all() const { return all_; }
  double n_steps() const { return static_cast<double>(n_steps_); }

  // All operators together, per step.
  std::vector<double> sums() const {
    std::vector<double> result(n_steps_);
    for (const Operator& op : all_) {
      std::transform(result.begin(), result.end(), op.step_ms.begin(), result.begin(),
                     std::plus<>());
    }
    return result;
  }
  // The median share of the same step: what slows a whole step down cancels out.
  double step_share(std::vector<double> step_ms) const {
    std::transform(step_ms.begin(), step_ms.end(), steps_ms_.begin(), step_ms.begin(),
                   std::divides<>());
    return median(std::move(step_ms));
  }

 private:
  Operator& find(std::string_view name) {
    const auto found =
        std::find_if(all_.begin(), all_.end(), [&](const Operator& op) { return op.name == name; });
    return found != all_.end() ? *found : all_.emplace_back(Operator{.name = name});
  }

  size_t n_steps_ = 0;
  std::vector<double> steps_ms_;
  std::vector<Operator> all_;
};

// A method to measure; of a variant only the attention operators are shown.
struct Case {
  MethodOptions method;
  bool variant = false;
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
        timing_(*backend_, model->weights(backend_->weight_layout(), backend_->threads())),
        sequences_(model, timing_, options.engine,
                   *std::max_element(options.batches.begin(), options.batches.end()),
                   capacity(options)) {}

  void run() {
    if (options_.prompt_tokens > 0 && !prefill()) return;
    std::vector<int64_t> depths = options_.depths;
    std::sort(depths.begin(), depths.end());
    for (const int64_t depth : depths) {
      if (!sequences_.fill(depth, options_.seed + static_cast<uint64_t>(depth), events_.on_fill)) {
        return;
      }
      for (const int32_t batch : options_.batches) {
        double full_ms = 0;
        for (const MethodOptions& method : options_.methods) {
          if (!measure(depth, batch, {method}, full_ms)) return;
          if (!options_.operators || method.name != "tidal") continue;
          for (const MethodOptions& variant : variants(depth, method)) {
            if (!measure(depth, batch, {variant, true}, full_ms)) return;
          }
        }
      }
    }
  }

 private:
  static int64_t capacity(const BenchOptions& options) {
    int64_t deepest = 0;
    for (const int64_t depth : options.depths) deepest = std::max(deepest, depth);
    const int64_t steps = kWarmupSteps + options.decode_tokens * (options.operators ? 2 : 1);
    return std::max(deepest + steps, options.prompt_tokens);
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
    std::vector<double> times;
    for (int i = 0; i < kPrefillRuns; ++i) {
      const Clock::time_point start = Clock::now();
      sequences_.prefill(prompt);
      times.push_back(milliseconds_since(start));
      sequences_.truncate(0);
    }
    const int64_t chunk = options_.engine.prefill_chunk;
    const auto chunks = static_cast<double>((options_.prompt_tokens + chunk - 1) / chunk);
    BenchRow row;
    row.test = fmt::format("pp{}", options_.prompt_tokens);
    row.method = "full";
    row.ms_median = median(times);
    row.ms_min = smallest(times);
    row.tokens_per_second = 1000 * static_cast<double>(options_.prompt_tokens) / row.ms_median;
    rate(row, chunks * static_cast<double>(model().step_weight_bytes()));
    return events_.on_row(row);
  }

  // One decode step of all sequences, with or without a look at its operators.
  double step(int64_t i, Operators* operators, std::vector<Sampler>& samplers) {
    timing_.timing(operators != nullptr);
    const Clock::time_point start = Clock::now();
    const std::span<const float> logits = sequences_.decode(some_token(i, vocab_size_));
    const double milliseconds = milliseconds_since(start);
    timing_.timing(false);
    if (operators == nullptr) return milliseconds;
    const Clock::time_point sampling_start = Clock::now();
    for (size_t s = 0; s < samplers.size(); ++s) {
      const auto vocab = static_cast<size_t>(vocab_size_);
      samplers[s].sample(logits.subspan(s * vocab, vocab));
    }
    std::vector<OperationTime> times(timing_.times().begin(), timing_.times().end());
    const double sampling = milliseconds_since(sampling_start);
    times.push_back({kSampling, static_cast<int64_t>(samplers.size()), sampling, 0});
    operators->add_step(milliseconds + sampling, times);
    timing_.clear();
    return milliseconds;
  }

  bool measure(int64_t depth, int32_t batch, const Case& test, double& full_ms) {
    sequences_.start(batch, test.method);
    std::vector<Sampler> samplers(static_cast<size_t>(batch), Sampler({}, vocab_size_));
    int64_t token = 0;
    for (int i = 0; i < kWarmupSteps; ++i) step(token++, nullptr, samplers);
    const RowsRead before = sequences_.rows_read();
    std::vector<double> times;
    Operators operators;
    for (int64_t i = 0; i < options_.decode_tokens; ++i) {
      times.push_back(step(token++, nullptr, samplers));
      if (options_.operators) step(token++, &operators, samplers);
    }
    BenchRow row;
    row.test = fmt::format("tg{} @ d{}", options_.decode_tokens, depth);
    if (batch > 1) row.test += fmt::format(" x{}", batch);
    row.method = sequences_.method().name();
    row.plan = sequences_.method().plan_line();
    row.ms_median = median(times);
    row.ms_min = smallest(times);
    row.tokens_per_second = 1000 * batch / row.ms_median;
    row.rows_share = sequences_.rows().share();
    rate(row, static_cast<double>(model().step_weight_bytes()) +
                  cache_bytes(before) / static_cast<double>(token - kWarmupSteps));
    if (row.method == "full") full_ms = row.ms_median;
    if (full_ms > 0) row.speedup_vs_full = full_ms / row.ms_median;
    sequences_.truncate(depth);
    return events_.on_row(row) &&
           (!options_.operators || operator_rows(row, operators, test.variant));
  }

  // Of the cache rows read since then.
  double cache_bytes(const RowsRead& before) const {
    const RowsRead after = sequences_.rows_read();
    const KvView cache = sequences_.cache(0, 0);
    const auto bytes = [&](int64_t rows, const KvPlane& plane) {
      return static_cast<double>(rows) * static_cast<double>(plane.row_bytes) / cache.n_kv_heads;
    };
    return bytes(after.k - before.k, cache.k) + bytes(after.v - before.v, cache.v);
  }

  bool operator_rows(const BenchRow& whole, const Operators& operators, bool attention_only) {
    BenchRow sum{.test = whole.test + ": all operators",
                 .method = whole.method,
                 .plan = whole.plan,
                 .ms_median = median(operators.sums()),
                 .ms_min = smallest(operators.sums()),
                 .calls = 1,
                 .step_share = operators.step_share(operators.sums())};
    double bytes = 0;
    for (const Operator& op : operators.all()) {
      const double calls = op.calls / operators.n_steps();
      BenchRow row{.test = fmt::format("{}: {}", whole.test, op.name),
                   .method = whole.method,
                   .plan = whole.plan,
                   .ms_median = median(op.step_ms) / calls,
                   .ms_min = smallest(op.step_ms) / calls,
                   .calls = calls,
                   .step_share = operators.step_share(op.step_ms)};
      rate(row, op.bytes / op.calls);
      bytes += op.bytes / operators.n_steps();
      if (attention_only && !is_attention(op.name)) continue;
      if (!events_.on_row(row)) return false;
    }
    rate(sum, bytes);
    return events_.on_row(sum);
  }

  // The same plan with another head scope, and with selecting layers that read the other way.
  std::vector<MethodOptions> variants(int64_t depth, const MethodOptions& method) const {
    const AttentionMethod& in_force = sequences_.method();
    if (in_force.dense(depth + 1)) return {};
    const LayerPlan plan = parse_plan_line(in_force.plan_line(), model().config().n_layers);
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
