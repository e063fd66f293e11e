#include "server/metrics.h"

#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <functional>
#include <utility>
#include <vector>

namespace tidal::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// What rows are made from.
struct Values {
  Progress sum;  // of all that finished
  int64_t steps = 0;
  int64_t n_finished = 0;
  int64_t n_failed = 0;
  int64_t longest = 0;
  MetricsNow now;
};

double ratio(double a, double b) { return b > 0 ? a / b : 0; }
double read_tokens(const Values& v) {
  return static_cast<double>(v.sum.prompt_tokens - v.sum.cached_tokens);
}

struct Row {
  const char* name;
  MetricType type;
  const char* help;
  double (*value)(const Values& values);
};

constexpr auto kCounter = MetricType::Counter;
constexpr auto kGauge = MetricType::Gauge;

#define TIDAL_VALUE(expression) \
  []([[maybe_unused]] const Values& v) -> double { return static_cast<double>(expression); }

constexpr std::array kRows{
    Row{"tidal:prompt_tokens_total", kCounter, "Tokens of prompts",
        TIDAL_VALUE(v.sum.prompt_tokens)},
    Row{"tidal:prompt_tokens_cached_total", kCounter, "... that needed no reading",
        TIDAL_VALUE(v.sum.cached_tokens)},
    Row{"tidal:prompt_seconds_total", kCounter, "Time in which prompts were read",
        TIDAL_VALUE(v.sum.prompt_ms / 1e3)},
    Row{"tidal:generated_tokens_total", kCounter, "Tokens generated", TIDAL_VALUE(v.sum.generated)},
    Row{"tidal:generate_seconds_total", kCounter, "Time from first tokens to last ones",
        TIDAL_VALUE(v.sum.generate_ms / 1e3)},
    Row{"tidal:rows_read_total", kCounter, "Rows of the cache that decode steps read",
        TIDAL_VALUE(v.sum.rows.read)},
    Row{"tidal:rows_full_total", kCounter, "Rows that full attention would have read",
        TIDAL_VALUE(v.sum.rows.total)},
    Row{"tidal:drafted_tokens_total", kCounter, "Tokens drafted for lossless answers",
        TIDAL_VALUE(v.sum.speculation.drafted)},
    Row{"tidal:accepted_tokens_total", kCounter, "... that full attention said too",
        TIDAL_VALUE(v.sum.speculation.accepted)},
    Row{"tidal:requests_total", kCounter, "Answers that were completed", TIDAL_VALUE(v.n_finished)},
    Row{"tidal:requests_failed_total", kCounter, "Requests that ended with an error",
        TIDAL_VALUE(v.n_failed)},
    Row{"tidal:steps_total", kCounter, "Steps of the engine", TIDAL_VALUE(v.now.steps)},
    Row{"tidal:requests_paused_total", kCounter, "Times that a request made room for others",
        TIDAL_VALUE(v.now.paused)},
    Row{"tidal:requests_running", kGauge, "Requests with rows in the cache",
        TIDAL_VALUE(v.now.running)},
    Row{"tidal:requests_waiting", kGauge, "Requests that wait", TIDAL_VALUE(v.now.waiting)},
    Row{"tidal:cache_usage_ratio", kGauge, "Share of the cache in use",
        TIDAL_VALUE(v.now.cache_share)},

    Row{"llamacpp:prompt_tokens_total", kCounter, "Number of prompt tokens processed",
        TIDAL_VALUE(read_tokens(v))},
    Row{"llamacpp:prompt_tokens_cached_total", kCounter, "Number of prompt tokens reused",
        TIDAL_VALUE(v.sum.cached_tokens)},
    Row{"llamacpp:prompt_seconds_total", kCounter, "Prompt process time",
        TIDAL_VALUE(v.sum.prompt_ms / 1e3)},
    Row{"llamacpp:tokens_predicted_total", kCounter, "Number of generation tokens processed",
        TIDAL_VALUE(v.sum.generated)},
    Row{"llamacpp:tokens_predicted_seconds_total", kCounter, "Predict process time",
        TIDAL_VALUE(v.sum.generate_ms / 1e3)},
    Row{"llamacpp:n_decode_total", kCounter, "Total number of steps", TIDAL_VALUE(v.now.steps)},
    Row{"llamacpp:n_tokens_max", kCounter, "Largest number of tokens of a request",
        TIDAL_VALUE(v.longest)},
    Row{"llamacpp:spec_decode_num_draft_tokens_total", kCounter, "Drafted tokens",
        TIDAL_VALUE(v.sum.speculation.drafted)},
    Row{"llamacpp:spec_decode_num_accepted_tokens_total", kCounter, "Accepted draft tokens",
        TIDAL_VALUE(v.sum.speculation.accepted)},
    Row{"llamacpp:spec_decode_num_drafts_total", kCounter, "Drafts", TIDAL_VALUE(0)},
    Row{"llamacpp:prompt_tokens_seconds", kGauge, "Average prompt throughput in tokens/s",
        TIDAL_VALUE(ratio(read_tokens(v), v.sum.prompt_ms / 1e3))},
    Row{"llamacpp:predicted_tokens_seconds", kGauge, "Average generation throughput in tokens/s",
        TIDAL_VALUE(ratio(static_cast<double>(v.steps), v.sum.generate_ms / 1e3))},
    Row{"llamacpp:requests_processing", kGauge, "Number of requests processing",
        TIDAL_VALUE(v.now.running)},
    Row{"llamacpp:requests_deferred", kGauge, "Number of requests deferred",
        TIDAL_VALUE(v.now.waiting)},
    Row{"llamacpp:n_busy_slots_per_decode", kGauge, "Average number of sequences in a step",
        TIDAL_VALUE(ratio(static_cast<double>(v.sum.generated), static_cast<double>(v.now.steps)))},

    Row{"vllm:num_requests_running", kGauge, "Requests with rows in the cache",
        TIDAL_VALUE(v.now.running)},
    Row{"vllm:num_requests_waiting", kGauge, "Requests that wait", TIDAL_VALUE(v.now.waiting)},
    Row{"vllm:num_preemptions_total", kCounter, "Times that a request made room for others",
        TIDAL_VALUE(v.now.paused)},
    Row{"vllm:kv_cache_usage_perc", kGauge, "Share of the cache in use (1: all)",
        TIDAL_VALUE(v.now.cache_share)},
    Row{"vllm:prefix_cache_queries_total", kCounter, "Tokens looked for in the prefix cache",
        TIDAL_VALUE(v.sum.prompt_tokens)},
    Row{"vllm:prefix_cache_hits_total", kCounter, "Tokens found in the prefix cache",
        TIDAL_VALUE(v.sum.cached_tokens)},
    Row{"vllm:prompt_tokens_total", kCounter, "Tokens of prompts",
        TIDAL_VALUE(v.sum.prompt_tokens)},
    Row{"vllm:generation_tokens_total", kCounter, "Tokens generated", TIDAL_VALUE(v.sum.generated)},
    Row{"vllm:spec_decode_num_draft_tokens_total", kCounter, "Drafted tokens",
        TIDAL_VALUE(v.sum.speculation.drafted)},
    Row{"vllm:spec_decode_num_accepted_tokens_total", kCounter, "Accepted draft tokens",
        TIDAL_VALUE(v.sum.speculation.accepted)},
    Row{"vllm:request_success_total", kCounter, "Answers that were completed",
        TIDAL_VALUE(v.n_finished)},
};

#undef TIDAL_VALUE

using Labels = std::vector<prometheus::ClientMetric::Label>;

MetricFamily family(const Row& row, const Values& values, const Labels& labels) {
  prometheus::ClientMetric metric;
  metric.label = labels;
  (row.type == kCounter ? metric.counter.value : metric.gauge.value) = row.value(values);
  return {row.name, row.help, row.type, {metric}};
}

const prometheus::Histogram::BucketBoundaries kLong{
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800};
const prometheus::Histogram::BucketBoundaries kShort{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075,
                                                     0.1,   0.15,   0.2,   0.3,  0.5,   1,    2.5};

}  // namespace

struct Metrics::Histograms {
  prometheus::Histogram first_token{kLong};
  prometheus::Histogram between_tokens{kShort};
  prometheus::Histogram whole{kLong};

  struct Named {
    const char* name;
    const char* help;
    const prometheus::Histogram& histogram;
  };
  std::array<Named, 3> named() const {
    return {{{"time_to_first_token_seconds", "From request to first token", first_token},
             {"inter_token_latency_seconds", "From token to token", between_tokens},
             {"e2e_request_latency_seconds", "From request to last token", whole}}};
  }
};

Metrics::Metrics(std::set<std::string> names)
    : names_(std::move(names)), histograms_(std::make_unique<Histograms>()) {}
Metrics::~Metrics() = default;

void Metrics::first_token(double since_ms) { histograms_->first_token.Observe(since_ms / 1e3); }
void Metrics::next_token(double since_ms) { histograms_->between_tokens.Observe(since_ms / 1e3); }

void Metrics::finished(const Progress& progress) {
  histograms_->whole.Observe(progress.since_ms / 1e3);
  const std::lock_guard lock(mutex_);
  sum_.prompt_tokens += progress.prompt_tokens;
  sum_.cached_tokens += progress.cached_tokens;
  sum_.generated += progress.generated;
  sum_.prompt_ms += progress.prompt_ms;
  sum_.generate_ms += progress.generate_ms;
  sum_.rows.read += progress.rows.read;
  sum_.rows.total += progress.rows.total;
  sum_.speculation.drafted += progress.speculation.drafted;
  sum_.speculation.accepted += progress.speculation.accepted;
  steps_generated_ += std::max<int64_t>(0, progress.generated - 1);
  longest_ = std::max(longest_, progress.prompt_tokens + progress.generated);
  ++n_finished_;
}

void Metrics::failed() {
  const std::lock_guard lock(mutex_);
  ++n_failed_;
}

std::string Metrics::text(const MetricsNow& now, const std::string& model) const {
  Values values;
  values.now = now;
  {
    const std::lock_guard lock(mutex_);
    values.sum = sum_;
    values.steps = steps_generated_;
    values.n_finished = n_finished_;
    values.n_failed = n_failed_;
    values.longest = longest_;
  }
  const auto is_shown = [&](const std::string& name) {
    return names_.count(name.substr(0, name.find(':'))) > 0;
  };
  // llama.cpp's have no labels, vLLM's name the model.
  const auto labels_of = [&](const std::string& name) {
    return name.starts_with("vllm:") ? Labels{{"model_name", model}} : Labels{};
  };
  std::vector<MetricFamily> families;
  for (const Row& row : kRows) {
    if (is_shown(row.name)) families.push_back(family(row, values, labels_of(row.name)));
  }
  for (const auto& [name, help, histogram] : histograms_->named()) {
    for (const char* prefix : {"tidal:", "vllm:"}) {
      const std::string full = prefix + std::string(name);
      if (!is_shown(full)) continue;
      prometheus::ClientMetric metric = histogram.Collect();
      metric.label = labels_of(full);
      families.push_back({full, help, MetricType::Histogram, {metric}});
    }
  }
  if (is_shown("vllm:")) {
    prometheus::ClientMetric metric;
    metric.label = {{"block_size", "16"}, {"model_name", model}};
    metric.gauge.value = 1;
    families.push_back({"vllm:cache_config_info", "The cache", kGauge, {metric}});
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace tidal::server
