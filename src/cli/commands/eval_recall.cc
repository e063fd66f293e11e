// tidal eval recall: which rows layers share, on a model and a text of the user's.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "attention/layer_plan.h"
#include "base/fail.h"
#include "base/progress.h"
#include "cli/eval_common.h"
#include "cli/interrupt.h"
#include "eval/recall.h"
#include "runtime/model_options.h"
#include "runtime/session.h"

namespace tidal::cli {
namespace {

struct Flags {
  ModelFlags model;
  TextFlags text;
  int64_t context = 4096;
  int64_t budget = 256;
  int64_t n_samples = 64;
  std::vector<std::string> plans;
};

constexpr HeadScope kScopes[] = {HeadScope::kQueryHead, HeadScope::kKvHead, HeadScope::kAll};

const char* scope_name(HeadScope scope) {
  return scope == HeadScope::kQueryHead ? "q" : scope == HeadScope::kKvHead ? "kv" : "all";
}

// Shows what passes by to several captures.
class Fan : public AttentionObserver {
 public:
  void add(AttentionObserver& observer) { observers_.push_back(&observer); }
  void on_attention(int32_t layer, std::span<const AttentionItem> items) override {
    for (AttentionObserver* observer : observers_) observer->on_attention(layer, items);
  }

 private:
  std::vector<AttentionObserver*> observers_;
};

struct NamedPlan {
  std::string from;
  LayerPlan plan;
};

std::vector<NamedPlan> read_plans(const Flags& flags, const Model& model) {
  const Config& config = model.config();
  const HeadCounts heads = {config.attention().n_heads, config.attention().n_kv_heads};
  const std::string beside = plan_file_beside(model.path());
  std::vector<NamedPlan> plans;
  for (const std::string& text : flags.plans) {
    const bool in_file = text == "tidal" && !beside.empty();
    plans.push_back({text, resolve_plan(in_file ? beside : text, config.n_layers(), heads)});
  }
  return plans;
}

class Run {
 public:
  explicit Run(const Flags& flags)
      : flags_(flags),
        model_(load_model(flags.model.engine)),
        plans_(read_plans(flags, *model_)),
        tokens_(std::move(read_texts(flags.text, *model_).front().tokens)),
        shape_{model_->config().n_layers(), model_->config().attention().n_heads,
               model_->config().attention().n_kv_heads, model_->config().attention().head_dim,
               flags.context},
        positions_(sample_positions(flags.context / 2, flags.context, flags.n_samples)),
        cosine_(shape_, std::ssize(positions_)) {
    for (const HeadScope scope : kScopes) overlaps_.emplace_back(shape_, scope);
    if (std::ssize(tokens_) < flags.context) {
      fail(ErrorCode::kInvalidArgument,
           "{}: the text has {} tokens, --context asks for {}: lower it or give more text",
           flags.text.files.empty() ? flags.text.tokens_file : flags.text.files.front(),
           tokens_.size(), flags.context);
    }
    const int64_t capacity = flags.model.engine.context_size;
    if (capacity > 0 && capacity < flags.context) {
      fail(ErrorCode::kExhausted, "--context is {}, --ctx-size holds {}: raise it or lower that",
           flags.context, capacity);
    }
    require_cache_memory(model_->config(), flags.model.engine, flags.context, "lower --context");
    warn_beyond_training(*model_, flags.context);
    tokens_.resize(static_cast<size_t>(flags.context));
  }

  int run() {
    Session session(model_, flags_.model.engine, {}, flags_.context);  // only prefills
    std::vector<std::unique_ptr<AttentionCapture>> captures;
    Fan fan;
    for (LayerOverlap& overlap : overlaps_) {
      CaptureOptions options;
      options.scope = overlap.scope();
      options.pooling = options.scope == HeadScope::kQueryHead ? Pooling::kRaw : Pooling::kSoftmax;
      options.budget = flags_.budget;
      const bool first = captures.empty();
      captures.push_back(
          std::make_unique<AttentionCapture>(session.backend(), shape_, options, positions_,
                                             [this, first, &overlap](const CapturedAttention& at) {
                                               overlap.add(at);
                                               if (first) cosine_.add(at);
                                             }));
      fan.add(*captures.back());
    }
    session.observe(&fan);
    catch_interrupts();
    ProgressBar bar("recall", "tokens");
    try {
      session.prefill(tokens_, [&](int64_t done, int64_t total) {
        bar.update(done, total);
        if (done < total) throw_if_interrupted();
      });
    } catch (const Interrupted&) {
      // The samples of the chunks that are done get printed.
    }
    bar.clear();
    flags_.model.json ? print_json() : print_text();
    return interrupted() ? kExitInterrupted : kExitDone;
  }

 private:
  const LayerOverlap& overlaps(HeadScope scope) const {
    return *std::find_if(overlaps_.begin(), overlaps_.end(),
                         [&](const LayerOverlap& overlap) { return overlap.scope() == scope; });
  }

  // [n_layers][n_layers]; row i: the picking layer, column j: the layer that reads, null for j < i.
  Json matrix(const LayerOverlap& from, double (LayerOverlap::*value)(int32_t, int32_t) const,
              int32_t n_layers) const {
    Json rows = Json::array();
    for (int32_t i = 0; i < n_layers; ++i) {
      Json row = Json::array();
      for (int32_t j = 0; j < n_layers; ++j) {
        row.push_back(j < i ? Json(nullptr) : Json((from.*value)(i, j)));
      }
      rows.push_back(row);
    }
    return rows;
  }

  double neighbour_overlap(const LayerOverlap& from) const {
    double sum = 0;
    for (int32_t i = 0; i + 1 < shape_.n_layers; ++i) sum += from.overlap(i, i + 1);
    return sum / std::max(1, shape_.n_layers - 1);
  }

  Json cosine_json(double (NeighbourCosine::*value)(int32_t, int32_t) const) const {
    Json rows = Json::array();
    for (int32_t layer = 0; layer + 1 < shape_.n_layers; ++layer) {
      Json row = Json::array();
      for (int32_t head = 0; head < shape_.n_heads; ++head) {
        row.push_back((cosine_.*value)(layer, head));
      }
      rows.push_back(row);
    }
    return rows;
  }

  double cosine_mean(double (NeighbourCosine::*value)(int32_t, int32_t) const) const {
    double sum = 0;
    for (int32_t layer = 0; layer + 1 < shape_.n_layers; ++layer) {
      for (int32_t head = 0; head < shape_.n_heads; ++head) sum += (cosine_.*value)(layer, head);
    }
    return sum / std::max(1, (shape_.n_layers - 1) * shape_.n_heads);
  }

  void print_json() const {
    Json json = model_json(*model_, flags_.model.engine);
    Json overlap;
    Json mass;
    Json neighbours;
    for (const LayerOverlap& one : overlaps_) {
      const char* name = scope_name(one.scope());
      overlap[name] = matrix(one, &LayerOverlap::overlap, shape_.n_layers);
      mass[name] = matrix(one, &LayerOverlap::mass, shape_.n_layers);
      neighbours[name] = neighbour_overlap(one);
    }
    Json plans = Json::array();
    for (const NamedPlan& named : plans_) {
      const PlanRecall recall = recall_of(named.plan, overlaps(named.plan.scope));
      plans.push_back({{"plan", print_plan_line(named.plan)},
                       {"plan_from", named.from},
                       {"recall", recall.recall},
                       {"mass", recall.mass}});
    }
    json.update({{"context", flags_.context},
                 {"skip", flags_.text.skip},
                 {"budget", flags_.budget},
                 {"samples", overlaps_.front().samples()},
                 {"overlap", overlap},
                 {"mass", mass},
                 {"neighbour_overlap", neighbours},
                 {"cosine",
                  {{"attention", cosine_json(&NeighbourCosine::attention)},
                   {"attention_mean", cosine_mean(&NeighbourCosine::attention)},
                   {"output", cosine_json(&NeighbourCosine::output)},
                   {"output_mean", cosine_mean(&NeighbourCosine::output)}}},
                 {"plans", plans},
                 {"seed", 0},
                 {"complete", !interrupted()}});
    put_json(json);
  }

  void print_text() const {
    put("Top {} of {} rows, {} positions. Overlap in %, per query head: row picks, column "
        "reads\n\n    ",
        flags_.budget, flags_.context, overlaps_.front().samples());
    const LayerOverlap& per_head = overlaps_.front();
    for (int32_t j = 0; j < shape_.n_layers; ++j) put("{:4}", j);
    for (int32_t i = 0; i < shape_.n_layers; ++i) {
      put("\n{:4}{:{}}", i, "", 4 * i);
      for (int32_t j = i; j < shape_.n_layers; ++j) {
        put("{:4.0f}", 100 * per_head.overlap(i, j));
      }
    }
    put("\n\nneighbouring layers      q {:.1f} %  kv {:.1f} %  all {:.1f} %\n",
        100 * neighbour_overlap(overlaps_[0]), 100 * neighbour_overlap(overlaps_[1]),
        100 * neighbour_overlap(overlaps_[2]));
    put("cosine of neighbours     attention {:.3f}  output {:.3f}\n",
        cosine_mean(&NeighbourCosine::attention), cosine_mean(&NeighbourCosine::output));
    for (const NamedPlan& named : plans_) {
      const PlanRecall recall = recall_of(named.plan, overlaps(named.plan.scope));
      put("plan {:19} recall {:.1f} %  attention mass {:.1f} %  (scope {})\n", named.from,
          100 * recall.recall, 100 * recall.mass, scope_name(named.plan.scope));
    }
  }

  const Flags& flags_;
  std::shared_ptr<const Model> model_;
  std::vector<NamedPlan> plans_;
  std::vector<int32_t> tokens_;  // [context]
  AttentionShape shape_;
  std::vector<int64_t> positions_;
  std::vector<LayerOverlap> overlaps_;  // of kScopes
  NeighbourCosine cosine_;
};

}  // namespace

void add_eval_recall(CLI::App& eval, Work& work) {
  auto flags = std::make_shared<Flags>();
  flags->plans = {"paper", "tidal"};
  CLI::App* command =
      eval.add_subcommand("recall", "Which of their most attended rows layers share");
  command->footer("Example: tidal eval recall -f book.txt --context 4096 --budget 256");
  const std::string group = "Text";
  command->add_option("-f,--file", flags->text.files, "Text to read, - for stdin")
      ->group(group)
      ->expected(1);
  command->add_option("--tokens", flags->text.tokens_file, "Text as token ids, a JSON file")
      ->group(group);
  command->add_option("--context", flags->context, "Tokens of the text to read")
      ->group(group)
      ->check(whole_number(2))
      ->capture_default_str();
  command->add_option("--skip", flags->text.skip, "Begin this many tokens into the text")
      ->group(group)
      ->check(whole_number(0))
      ->capture_default_str();
  command
      ->add_option("--samples", flags->n_samples,
                   "Positions to look at, spread over the second half")
      ->group(group)
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("--budget", flags->budget, "K: rows a layer picks")
      ->group("Attention")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("--plan", flags->plans, "Plan to give the recall of; may be repeated")
      ->group("Attention")
      ->allow_extra_args(false)
      ->capture_default_str();
  add_model_flags(*command, flags->model);
  command->callback([flags, &work] { work = [flags] { return Run(*flags).run(); }; });
}

}  // namespace tidal::cli
